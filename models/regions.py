"""Regions of a raw saliency map: where it reaches a threshold, cleaned, in connected parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.card import Label
from models.data.letterbox import Letterbox
from models.metrics.boxes import Rectangle

Mask = NDArray[np.bool_]
MOST_REGIONS = 2  # that are reported of a label, the best first
MOST_PARTS = 10  # of a mask, the largest first
How = Literal["smoothed", "parts", "whole"]
"""`region` of a label."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A connected part of the file's pixels: its mask (rows, columns), its box, the largest raw saliency inside."""

    mask: Mask
    rectangle: Rectangle
    score: float


def label_regions(
    saliency: NDArray[np.float32], letterbox: Letterbox, label: Label, most: int = MOST_REGIONS
) -> tuple[Region, ...]:
    """Regions of one label's map (h, w) in pixels of the file, the best first; the node draws none that are diffuse."""
    smallest = label.smallest_region_fraction
    whole = letterbox.to_file(saliency)
    return map_regions(whole, label.region_threshold(float(whole.max())), smallest, most, label.region)


def box_regions(boxes: NDArray[np.float32], letterbox: Letterbox, label: Label) -> tuple[Region, ...]:
    """A detector's boxes (n, 5) of one label in pixels of the file, as far as their scores reach its threshold."""
    found = []
    for x0, y0, x1, y1, score in boxes.tolist():
        (left, top), (right, bottom) = letterbox.in_file((x0, y0)), letterbox.in_file((x1, y1))
        rows = slice(max(round(top), 0), max(round(bottom), 0))
        columns = slice(max(round(left), 0), max(round(right), 0))
        mask = np.zeros(letterbox.file, np.bool_)
        mask[rows, columns] = True
        if mask.any() and score >= label.region_threshold(score):
            found.append(Region(mask, (left, top, right - left, bottom - top), score))
    return tuple(found)


def map_regions(
    saliency: NDArray[np.float32],
    threshold: float,
    smallest_fraction: float = 0.0,
    most: int = MOST_REGIONS,
    how: How = "smoothed",
) -> tuple[Region, ...]:
    """Regions of a map (rows, columns) of the file's size where it reaches a threshold."""
    masks = components(saliency >= threshold, None, saliency, smallest_fraction * saliency.size, most, how)
    return tuple(Region(mask, rectangle(mask), float(saliency[mask].max())) for mask in masks)


def rectangle(mask: Mask) -> Rectangle:
    """The box around a mask that is not empty: x, y, width, height in pixels."""
    rows, columns = bounds(mask)
    x, y = columns.start, rows.start
    return float(x), float(y), float(columns.stop - x), float(rows.stop - y)


def components(
    inside: Mask,
    allowed: Mask | None,
    saliency: NDArray[np.float32],
    smallest: float,
    most: int,
    how: How = "smoothed",
) -> tuple[Mask, ...]:
    """Connected parts (by faces) of a mask after closing, filling of holes and opening; largest saliency first.

    "parts" are left as they are, the largest first; "whole" is all of the mask as one.

    Parameters
    ----------
    inside, saliency
        (rows, columns) or (slices, rows, columns), both of one shape.
    allowed
        Pixels that are no padding, of the same shape; None: all.
    smallest
        Parts with fewer pixels than this are left out.
    most
        At most so many parts are returned; of "parts" at most `MOST_PARTS`.
    """
    if not inside.any():
        return ()
    box = bounds(inside)
    cleaned = _clean(inside[box], _radius(inside.shape)) if how == "smoothed" else inside[box].copy()
    if allowed is not None:
        cleaned &= allowed[box]
    if how == "whole":
        return (_whole(cleaned, box, inside.shape),) if cleaned.any() else ()
    by_size = how == "parts"
    best = _best_parts(cleaned, saliency[box], smallest, MOST_PARTS if by_size else most, by_size=by_size)
    return tuple(_whole(part, box, inside.shape) for part in best)


def bounds(mask: Mask) -> tuple[slice, ...]:
    """The smallest slices, an axis each, that hold all of a mask that is not empty."""
    axes = range(mask.ndim)
    lines = (np.flatnonzero(mask.any(axis=tuple(other for other in axes if other != axis))) for axis in axes)
    return tuple(slice(int(line[0]), int(line[-1]) + 1) for line in lines)


def _whole(part: Mask, box: tuple[slice, ...], shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, dtype=np.bool_)
    mask[box] = part
    return mask


def _radius(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of the structuring element, an axis each: a 1024th of an image; one pixel within the slices of a volume."""
    return (max(1, round(min(shape) / 1024)),) * 2 if len(shape) == 2 else (0, 1, 1)


def _clean(inside: Mask, radius: tuple[int, ...]) -> Mask:
    """Gaps narrower than the element and holes are filled, spurs and bridges thinner than it cut."""
    import SimpleITK as sitk  # noqa: PLC0415 (half a second to import)

    margin = [(each + 1, each + 1) for each in radius]
    image = sitk.GetImageFromArray(np.pad(inside, margin).astype(np.uint8))
    image = sitk.BinaryMorphologicalClosing(image, radius[::-1])
    image = sitk.BinaryFillhole(image)
    image = sitk.BinaryMorphologicalOpening(image, radius[::-1])
    inner = tuple(slice(low, -high) for low, high in margin)
    cleaned: Mask = sitk.GetArrayFromImage(image)[inner].astype(np.bool_)
    return cleaned


def _best_parts(
    mask: Mask, saliency: NDArray[np.float32], smallest: float, most: int, *, by_size: bool = False
) -> list[Mask]:
    """Masks of the best parts alone, by their peaks or sizes: a map of noise has thousands."""
    import SimpleITK as sitk  # noqa: PLC0415

    found = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)))
    labelled = sitk.GetArrayFromImage(found)
    sizes = np.bincount(labelled.ravel())
    peaks = np.full(len(sizes), -np.inf)
    np.maximum.at(peaks, labelled[mask], saliency[mask])
    large = (number for number in range(1, len(sizes)) if sizes[number] >= max(smallest, 1))
    order = sorted(large, key=lambda number: (0.0 if by_size else -peaks[number], -sizes[number]))
    return [labelled == number for number in order[:most]]
