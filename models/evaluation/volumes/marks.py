"""Where a map points: its separate maxima, the strongest first."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.data.volumes.maps import in_volume

APART_MM = 15.0  # maxima that are closer are one
EQUAL = 1e-5  # of the map's range: what interpolation does to a plateau
MOST_MARKS = 20  # of one volume; more are noise


@dataclass(frozen=True, slots=True)
class Mark:
    """A maximum of a map: the voxel (z, y, x) of the volume, and the raw saliency there."""

    at: tuple[int, int, int]
    score: float


def marks_of(
    saliency: NDArray[np.float32], shape: tuple[int, ...], spacing: tuple[float, ...], most: int = MOST_MARKS
) -> tuple[Mark, ...]:
    """The maxima of a map (d, h, w) over a volume of `shape` and `spacing` (z, y, x) mm; none where the map is flat.

    Maxima lie `APART_MM` apart along some axis. Of a plateau the voxel nearest to its middle counts.
    """
    steps = [n * mm / cells for n, mm, cells in zip(shape, spacing, saliency.shape, strict=True)]
    window = [2 * math.floor(APART_MM / step) + 1 for step in steps]
    rounding = EQUAL * float(np.ptp(saliency))
    top = saliency >= ndimage.maximum_filter(saliency, window, mode="nearest") - rounding
    top &= saliency > saliency.min() + rounding
    parts, count = ndimage.label(top, np.ones((3, 3, 3)))
    if not count:
        return ()
    boxes = ndimage.find_objects(parts)
    scores = np.array([saliency[box][parts[box] == number].max() for number, box in enumerate(boxes, start=1)])
    order = np.argsort(-scores, kind="stable")[:most]
    return tuple(
        Mark(in_volume(_middle(parts, boxes[n], int(n) + 1), saliency.shape, shape), float(scores[n])) for n in order
    )


def _middle(parts: NDArray[np.int32], box: tuple[slice, ...], number: int) -> tuple[float, ...]:
    """The cell of a part that is nearest to its centre."""
    cells = np.argwhere(parts[box] == number)
    nearest = cells[int(((cells - cells.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    return tuple(float(at + one.start) for at, one in zip(nearest, box, strict=True))
