"""A slice as its network sees it: the body alone, in a square of its own size, whatever lies around it blanked.

Table, padding and the grey of air outside the patient differ from scanner to scanner and from file to file; in a
collection of published pictures they can tell the classes apart. In a frame they are all the same grey.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from models.slices.table import Slices

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
OPENING = 0.011  # of the slice's larger side: what is thinner than twice this, such as a table's shell, is no body
COARSE = 128  # pixels of the larger side, at least, on which the body is found
SMALLEST_BODY = 0.03  # of the slice's area


@dataclass(frozen=True, slots=True, eq=False)
class Framed:
    """A slice in its frame.

    Attributes
    ----------
    image
        (rows, columns) of `Slices.size`, 0..1; air where there is no body.
    box
        (top, left, rows, columns) of the frame in pixels of the slice; it may reach beyond the slice.
    lung
        Part of the body's area that is air.
    """

    image: Floats
    box: tuple[int, int, int, int]
    lung: float


def windowed(hounsfield: Floats, table: Slices) -> Floats:
    """0..1 over the card's window."""
    low, high = table.window
    scaled: Floats = np.clip((hounsfield - low) / (high - low), 0.0, 1.0).astype(np.float32, copy=False)
    return scaled


def body(image: Floats, table: Slices) -> Mask:
    """The largest connected part of what is no air, without thin bridges to a table, lungs filled in.

    It is found on every second, third … pixel of a large slice, and as coarse.
    """
    step = max(1, max(image.shape) // COARSE)
    tissue = image[::step, ::step] >= table.tissue
    radius = max(1, round(OPENING * max(tissue.shape)))
    parts, _ = ndimage.label(_opened(tissue, radius))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    largest = parts == int(sizes.argmax()) if len(sizes) > 1 else np.zeros_like(tissue)
    whole = ndimage.binary_fill_holes(ndimage.binary_dilation(largest) & tissue | largest)
    fine: Mask = np.repeat(np.repeat(whole, step, 0), step, 1)[: image.shape[0], : image.shape[1]]
    return fine


def framed(image: Floats, table: Slices, spacing: tuple[float, float] = (1.0, 1.0)) -> Framed | None:
    """A slice (rows, columns) of 0..1 in its frame; None where it shows no body.

    Parameters
    ----------
    spacing
        (row, column), of which only the ratio counts.
    """
    mask = body(image, table)
    if mask.sum() < SMALLEST_BODY * mask.size:
        return None
    box = _square(mask, table.margin, spacing)
    blanked = np.where(mask, image, np.float32(table.air))
    lung = float((image[mask] < table.tissue).mean())
    return Framed(in_box(blanked, box, table), box, lung)


def in_box(image: Floats, box: tuple[int, int, int, int], table: Slices) -> Floats:
    """The box (top, left, rows, columns) of a slice, `Slices.size`; air beyond the slice."""
    return _resampled(_cut(image, box, table.air), table.size)


def _opened(mask: Mask, radius: int) -> Mask:
    """Opening by a disk, by distances: quick for any radius."""
    inside = ndimage.distance_transform_edt(mask) > radius
    grown: Mask = ndimage.distance_transform_edt(~inside) <= radius
    return grown & mask


def _square(mask: Mask, margin: float, spacing: tuple[float, float]) -> tuple[int, int, int, int]:
    """The square, in millimetres, around a mask, with a margin at each side."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    middle = (rows[0] + rows[-1] + 1) / 2, (columns[0] + columns[-1] + 1) / 2
    side = max(length * step for length, step in zip((np.ptp(rows) + 1, np.ptp(columns) + 1), spacing, strict=True))
    height, width = (max(2, round(side * (1 + 2 * margin) / step)) for step in spacing)
    return round(middle[0] - height / 2), round(middle[1] - width / 2), height, width


def _cut(image: Floats, box: tuple[int, int, int, int], outside: float) -> Floats:
    """The box of an image; what lies beyond the image is filled."""
    top, left, height, width = box
    cut = np.full((height, width), outside, np.float32)
    rows = slice(max(0, top), min(image.shape[0], top + height))
    columns = slice(max(0, left), min(image.shape[1], left + width))
    cut[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = image[rows, columns]
    return cut


def _resampled(image: Floats, size: tuple[int, int]) -> Floats:
    resized = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.clip(np.asarray(resized, np.float32), 0.0, 1.0)
