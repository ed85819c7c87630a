"""Image files as a card's input asks for them: grey, in colour, or in windows of HU; letterboxed or cropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.card import Input, Window
from models.data.images import UNREADABLE, is_dicom, read_fitted, resampled
from models.data.letterbox import Letterbox
from models.data.nifti import is_nifti
from models.data.scaling import windowed
from models.errors import DataError

Floats = NDArray[np.float32]


def read_input(path: Path, rules: Input) -> tuple[Floats, Letterbox]:
    """A file as `Model.predict` takes it, `rules.shape`, and where the file lies in it.

    Raises
    ------
    DataError
        The file is missing, is no such image, or has no HU where windows of HU are asked for.
    """
    assert rules.size is not None
    if rules.colour == "grey" and not rules.windows:
        return read_fitted(path, rules.size, rules.crop)
    try:
        planes = _colours(path) if rules.colour == "rgb" else _windows(path, rules.windows)
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read as an image: {error}") from error
    box = Letterbox.fit((planes.shape[1], planes.shape[2]), rules.size, rules.crop)
    found = np.stack([resampled(Image.fromarray(np.ascontiguousarray(plane)), box) for plane in planes])
    return found if rules.planes > 1 else found[0], box


def _colours(path: Path) -> Floats:
    """(3, rows, columns), 0..1; a grey file three times."""
    if is_nifti(path) or (is_dicom(path) and not _has_colours(path)):
        from models.data.images import read_grey  # noqa: PLC0415

        return np.repeat(read_grey(path)[None], 3, 0)
    if is_dicom(path):
        return _dicom_colours(path)
    with Image.open(path) as image:
        if image.mode.startswith("I"):
            return np.repeat(np.asarray(image, np.float32)[None] / 65535.0, 3, 0)
        return _first(np.asarray(image.convert("RGB"), np.float32) / np.float32(255))


def _has_colours(path: Path) -> bool:
    from pydicom import dcmread  # noqa: PLC0415

    header = dcmread(path, stop_before_pixels=True, specific_tags=["PhotometricInterpretation"])
    return not str(header.get("PhotometricInterpretation", "")).startswith("MONO")


def _dicom_colours(path: Path) -> Floats:
    from pydicom import dcmread  # noqa: PLC0415
    from pydicom.pixels.processing import apply_color_lut  # noqa: PLC0415

    dataset = dcmread(path)
    values = dataset.pixel_array  # of YBR pydicom makes RGB
    largest = (1 << int(dataset.BitsStored)) - 1
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
        largest = int(np.iinfo(values.dtype).max)
    if values.ndim != 3 or values.shape[2] != 3:
        raise DataError(f"{path} holds several frames, and one is read.")
    return _first(np.asarray(values, np.float32) / np.float32(largest))


def _first(colours: Floats) -> Floats:
    """(rows, columns, 3) as (3, rows, columns)."""
    return np.ascontiguousarray(np.moveaxis(colours, -1, 0))


def _windows(path: Path, windows: tuple[Window, ...]) -> Floats:
    """A plane (rows, columns) of each window."""
    if not is_dicom(path):
        raise DataError(f"{path} has no HU: windows are read from DICOM files alone.")
    from pydicom import dcmread  # noqa: PLC0415
    from pydicom.pixels.processing import apply_modality_lut  # noqa: PLC0415

    dataset = dcmread(path)
    values = np.asarray(apply_modality_lut(dataset.pixel_array, dataset), np.float32)
    return np.stack([windowed(values, one) for one in windows])
