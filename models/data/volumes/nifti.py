"""Volumes and their masks in NIfTI files (.nii, .nii.gz)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from models.data.volumes.volume import AXES, Volume
from models.errors import DataError


def read_nifti_volume(path: Path) -> Volume:
    """The volume of a file, oriented by its own affine; DataError where it is none."""
    return Volume.of_image(_read(path))


def read_nifti_mask(path: Path, volume: Volume) -> NDArray[np.bool_]:
    """A mask (d, h, w) of the volume; DataError where it has another shape."""
    mask: NDArray[np.bool_] = sitk.GetArrayFromImage(sitk.DICOMOrient(_read(path), AXES)) > 0
    if mask.shape != volume.array.shape:
        raise DataError(f"{path} has the shape {mask.shape}, its volume {volume.array.shape}.")
    return mask


def write_nifti(path: Path, image: sitk.Image) -> None:
    """Write a volume or a mask; `Volume.image` makes it."""
    sitk.WriteImage(image, str(path), useCompression=True)


def _read(path: Path) -> sitk.Image:
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise DataError(f"{path} cannot be read as a NIfTI volume: {reason}") from error
    if image.GetDimension() != 3 or min(image.GetSize()) < 2 or image.GetNumberOfComponentsPerPixel() != 1:
        raise DataError(
            f"{path} has the size {image.GetSize()}: one volume of grey voxels is read. A single image needs a package"
            " that sees images."
        )
    return image
