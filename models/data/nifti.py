"""Radiographs in NIfTI files (.nii, .nii.gz): one plane, oriented by the file's own affine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError

SUFFIXES = (".nii", ".nii.gz")


def is_nifti(path: Path) -> bool:
    """Whether a file is named like NIfTI."""
    return path.name.lower().endswith(SUFFIXES)


def read_nifti(path: Path) -> NDArray[np.float32]:
    """The plane as (rows, columns), stretched over its own range to 0 .. 1, the patient's left on the right.

    A file without an orientation (qform and sform code 0) is taken as it lies: first index columns, second rows.

    Raises
    ------
    DataError
        The file is no NIfTI, is not one plane, or cannot be turned to a frontal view.
    """
    import nibabel  # noqa: PLC0415 (only folders of NIfTI files need it)
    from nibabel.filebasedimages import ImageFileError  # noqa: PLC0415

    try:
        image = nibabel.load(path)
        values = np.asarray(image.dataobj, np.float32)
    except (ImageFileError, EOFError) as error:
        raise DataError(f"{path} cannot be read as NIfTI: {error}") from error
    plane = _oriented(values, image, path)
    plane = np.nan_to_num(plane)
    unit: NDArray[np.float32] = (plane - plane.min()) / max(float(np.ptp(plane)), 1e-6)
    return unit


def _oriented(values: NDArray[np.float32], image: object, path: Path) -> NDArray[np.float32]:
    """Rows and columns of the one plane.

    World axes of NIfTI point right, front, up. Columns shall run to the patient's left, rows down, or to the back where
    the plane has no up (so ITK writes a picture): each index runs against its world axis.
    """
    from nibabel.orientations import io_orientation  # noqa: PLC0415

    axes = [axis for axis, length in enumerate(values.shape) if length > 1]
    if len(axes) != 2 or axes[-1] > 2:
        raise DataError(
            f"{path} has the shape {values.shape}: one plane is read, not a volume or several channels. A volume needs"
            " a package that sees volumes."
        )
    plane = values.reshape(values.shape[axes[0]], values.shape[axes[1]])
    header, affine = image.header, image.affine  # type: ignore[attr-defined]
    if not (int(header["qform_code"]) or int(header["sform_code"])):
        return plane.T
    world = io_orientation(affine)[axes]
    if {int(axis) for axis in world[:, 0]} == {1, 2}:
        raise DataError(f"{path} is a lateral (sagittal) plane: its axes run to front and up; only frontal ones fit.")
    for axis, (_, direction) in enumerate(world):
        if direction > 0:  # towards right, front or up
            plane = np.flip(plane, axis)
    columns = int(np.argmin(world[:, 0]))  # the one along x
    return plane if columns == 1 else plane.T
