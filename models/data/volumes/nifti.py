"""Volumes and their masks in NIfTI files (.nii, .nii.gz)."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from models.data.volumes.volume import Volume
from models.errors import DataError

_AT_ONCE = 1 << 22  # bytes


def read_nifti_volume(path: Path) -> Volume:
    """The volume of a file, oriented by its own affine; DataError where it is none."""
    found = _read(path)
    _require_numbers(path)
    return Volume.of_image(found)


def read_nifti_mask(path: Path, volume: Volume) -> NDArray[np.bool_]:
    """A mask (d, h, w) of the volume; DataError where it lies on another grid.

    Of slices that were resampled because of a tilted gantry nobody has the grid: there a mask may have its own.
    """
    image = _read(path)
    if volume.tilt:
        image = sitk.Resample(image, volume.image(), sitk.Transform(), sitk.sitkNearestNeighbor)
    found = Volume.of_image(image)
    if found.array.shape != volume.array.shape:
        raise DataError(f"{path} has the shape {found.array.shape}, its volume {volume.array.shape}.")
    away = np.abs(np.subtract(found.origin, volume.origin)).max()
    if not np.allclose(found.spacing, volume.spacing, rtol=0.01) or away > min(volume.spacing):
        raise DataError(f"{path} lies on another grid than its volume: spacing {found.spacing}, {away:.1f} mm away.")
    mask: NDArray[np.bool_] = found.array > 0
    return mask


def write_nifti(path: Path, image: sitk.Image) -> None:
    """Write a volume or a mask; `Volume.image` makes it."""
    sitk.WriteImage(image, str(path), useCompression=True)


def _read(path: Path) -> sitk.Image:
    _require_whole(path)
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


def _require_whole(path: Path) -> None:
    """DataError where a compressed file ends too soon: ITK reads zeros there."""
    if path.suffix.lower() != ".gz" or not path.is_file():
        return
    try:
        with gzip.open(path) as stream:
            while stream.read(_AT_ONCE):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged or cut off: {error}") from error


def _require_numbers(path: Path) -> None:
    """DataError where a file of floats has voxels that are no numbers: ITK reads them as zeros."""
    image = nibabel.load(path)
    if image.get_data_dtype().kind == "f" and not np.isfinite(np.asanyarray(image.dataobj)).all():
        raise DataError(f"{path} has voxels that are no numbers.")
