"""Regions of a raw saliency map: where it reaches a threshold, cleaned, in connected parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.card import Label
from models.data.letterbox import Letterbox
from models.metrics.boxes import Rectangle

Mask = NDArray[np.bool_]
MOST_REGIONS = 2  # that are reported of a label, the best first


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
    return map_regions(whole, label.region_threshold(float(whole.max())), smallest, most)


def map_regions(
    saliency: NDArray[np.float32], threshold: float, smallest_fraction: float = 0.0, most: int = MOST_REGIONS
) -> tuple[Region, ...]:
    """Regions of a map (rows, columns) of the file's size where it reaches a threshold."""
    masks = components(saliency >= threshold, None, saliency, smallest_fraction * saliency.size, most)
    return tuple(Region(mask, rectangle(mask), float(saliency[mask].max())) for mask in masks)


def rectangle(mask: Mask) -> Rectangle:
    """The box around a mask that is not empty: x, y, width, height in pixels."""
    rows, columns = bounds(mask)
    x, y = columns.start, rows.start
    return float(x), float(y), float(columns.stop - x), float(rows.stop - y)


def components(
    inside: Mask, allowed: Mask | None, saliency: NDArray[np.float32], smallest: float, most: int
) -> tuple[Mask, ...]:
    """Connected parts (by faces) of a mask after closing, filling of holes and opening; largest saliency first.

    Parameters
    ----------
    inside, saliency
        (rows, columns) or (slices, rows, columns), both of one shape.
    allowed
        Pixels that are no padding, of the same shape; None: all.
    smallest
        Parts with fewer pixels than this are left out.
    most
        At most so many parts are returned.
    """
    if not inside.any():
        return ()
    box = bounds(inside)
    cleaned = _clean(inside[box], _radius(inside.shape))
    if allowed is not None:
        cleaned &= allowed[box]
    return tuple(_whole(part, box, inside.shape) for part in _best_parts(cleaned, saliency[box], smallest, most))


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


def _best_parts(mask: Mask, saliency: NDArray[np.float32], smallest: float, most: int) -> list[Mask]:
    """Masks of the best parts alone: a map of noise has thousands."""
    import SimpleITK as sitk  # noqa: PLC0415

    found = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)))
    labelled = sitk.GetArrayFromImage(found)
    sizes = np.bincount(labelled.ravel())
    peaks = np.full(len(sizes), -np.inf)
    np.maximum.at(peaks, labelled[mask], saliency[mask])
    large = (number for number in range(1, len(sizes)) if sizes[number] >= max(smallest, 1))
    order = sorted(large, key=lambda number: (-peaks[number], -sizes[number]))
    return [labelled == number for number in order[:most]]
