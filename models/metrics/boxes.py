"""Points and boxes against boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rectangle = tuple[float, float, float, float]
"""(x, y, width, height); the top left corner of the top left pixel is (0, 0)."""


def peak(saliency: NDArray[np.floating], size: tuple[int, int]) -> tuple[float, float]:
    """(x, y) in input pixels of the centre of the cell (h, w) with the largest value."""
    row, column = np.unravel_index(int(saliency.argmax()), saliency.shape)
    return (column + 0.5) * size[1] / saliency.shape[1], (row + 0.5) * size[0] / saliency.shape[0]


def hits(point: tuple[float, float], boxes: Sequence[Rectangle]) -> bool:
    """Whether the point lies in one of the boxes (x, y, width, height)."""
    return any(x <= point[0] < x + width and y <= point[1] < y + height for x, y, width, height in boxes)


def overlap(one: Rectangle, other: Rectangle) -> float:
    """Intersection over union of two boxes, 0..1."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(across, 0.0) * max(down, 0.0)
    union = one[2] * one[3] + other[2] * other[3] - common
    return common / union if union > 0 else 0.0


def best_overlaps(found: Sequence[Rectangle], boxes: Sequence[Rectangle]) -> list[float]:
    """For each box the largest overlap with one of those found; 0 where nothing was found."""
    return [max((overlap(one, box) for one in found), default=0.0) for box in boxes]
