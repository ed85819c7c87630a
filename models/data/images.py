"""Image files as network inputs: PNG, JPEG, DICOM and NIfTI, letterboxed with black."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from models.data.letterbox import Letterbox
from models.data.nifti import is_nifti, read_nifti
from models.errors import DataError

PICTURES = {".png", ".jpg", ".jpeg", ".dcm"}
# What Pillow and pydicom raise on files that are damaged, of several frames, or in a transfer syntax without a decoder.
UNREADABLE = (
    OSError,
    UnidentifiedImageError,
    ValueError,
    AttributeError,
    TypeError,
    KeyError,
    RuntimeError,
    SyntaxError,
    Image.DecompressionBombError,
)


def images_below(folder: Path) -> tuple[Path, ...]:
    """All image files below a folder, in the order of their names; hidden ones and DICOMDIR are left out."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "DICOMDIR")
    shown = (path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return tuple(path for path in shown if _like_image(path))


def _like_image(path: Path) -> bool:
    try:
        return path.suffix.lower() in PICTURES or is_nifti(path) or is_dicom(path)
    except OSError:
        return True  # it is named when it is read


def read_image(path: Path, size: tuple[int, int]) -> NDArray[np.float32]:
    """A PNG, JPEG, DICOM or NIfTI file as (rows, columns) = `size`, 0 (black) .. 1 (white), letterboxed with black.

    Raises
    ------
    DataError
        The file is missing or is no such image.
    """
    return read_fitted(path, size)[0]


def read_fitted(path: Path, size: tuple[int, int], crop: float = 0.0) -> tuple[NDArray[np.float32], Letterbox]:
    """The image as `read_image` gives it, or cropped as `models.card.Input` has it, and where the file lies in it."""
    return _fitted(_grey(path), size, crop)


def fitted(image: NDArray[np.float32], size: tuple[int, int]) -> tuple[NDArray[np.float32], Letterbox]:
    """An image (rows, columns) of 0..1 as a file of it would be read."""
    return _fitted(Image.fromarray(np.ascontiguousarray(image, np.float32)), size)


def _fitted(grey: Image.Image, size: tuple[int, int], crop: float = 0.0) -> tuple[NDArray[np.float32], Letterbox]:
    box = Letterbox.fit((grey.height, grey.width), size, crop)
    return resampled(grey, box), box


def resampled(grey: Image.Image, box: Letterbox) -> NDArray[np.float32]:
    """An image of floats at its place in the input."""
    result = np.zeros(box.size, np.float32)
    whole = grey.resize((box.columns, box.rows), Image.Resampling.BILINEAR)
    result[box.content] = np.asarray(whole, np.float32)[box.seen]
    return np.clip(result, 0.0, 1.0)


def is_dicom(path: Path) -> bool:
    """Whether a file is named like DICOM or begins as it does (PS3.10 7.1)."""
    if path.suffix.lower() == ".dcm":
        return True
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def file_size(path: Path) -> tuple[int, int]:
    """(rows, columns) of an image file."""
    grey = _grey(path)
    return grey.height, grey.width


def read_grey(path: Path) -> NDArray[np.float32]:
    """An image file as it is, (rows, columns), 0 (black) .. 1 (white); DataError where it cannot be read."""
    return np.asarray(_grey(path), np.float32)


def read_images(files: Sequence[Path], size: tuple[int, int], batch: int) -> Iterator[NDArray[np.float32]]:
    """Batches (n, rows, columns) of the files in their order."""
    for start in range(0, len(files), batch):
        yield np.stack([read_image(path, size) for path in files[start : start + batch]])


def _grey(path: Path) -> Image.Image:
    try:
        if is_nifti(path):
            return Image.fromarray(read_nifti(path))
        return _dicom(path) if is_dicom(path) else _picture(path)
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read as an image: {error}") from error


def _picture(path: Path) -> Image.Image:
    with Image.open(path) as image:
        if image.mode.startswith("I"):
            return Image.fromarray(np.asarray(image, np.float32) / 65535.0)
        return Image.fromarray(np.asarray(image.convert("L"), np.float32) / 255.0)


def _dicom(path: Path) -> Image.Image:
    """The image after its modality and VOI LUT, MONOCHROME2 sense, stretched over the window's own range."""
    from pydicom import dcmread  # noqa: PLC0415 (only folders of DICOM files need it)
    from pydicom.errors import InvalidDicomError  # noqa: PLC0415
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut  # noqa: PLC0415

    try:
        dataset = dcmread(path)
    except InvalidDicomError as error:
        raise DataError(f"{path} is no DICOM file.") from error
    values = np.asarray(apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset), np.float32)
    unit = (values - values.min()) / max(float(np.ptp(values)), 1e-6)
    return Image.fromarray(1.0 - unit if dataset.PhotometricInterpretation == "MONOCHROME1" else unit)
