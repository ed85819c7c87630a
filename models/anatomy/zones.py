"""Upper, middle and lower zone of each lung: thirds of its own height, not of the picture's; and what is between."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.regions import Mask, bounds

ZONES = ("right upper", "right middle", "right lower", "left upper", "left middle", "left lower")
THIRDS = 3
STRAIGHT = 0.25  # part of the rows in which a lung's inner border may lie further out than it is drawn


def zones_of(right: Mask, left: Mask) -> NDArray[np.uint8]:
    """A map (rows, columns): 0 outside the lungs, else 1 + index in `ZONES`."""
    zones = np.zeros(right.shape, np.uint8)
    for first, lung in ((1, right), (1 + THIRDS, left)):
        if lung.any():
            rows = bounds(lung)[0]
            third = THIRDS * (np.arange(len(lung)) - rows.start) // (rows.stop - rows.start)
            zones[lung] = (first + np.broadcast_to(third[:, None], lung.shape)[lung]).astype(np.uint8)
    return zones


def between(right: Mask, left: Mask) -> Mask:
    """Row by row between the innermost pixels of the two lungs; none in rows that lack one of them.

    Where a lung ends at the side, over the diaphragm, its inner border is taken to go on downwards.
    """
    columns, width = np.arange(right.shape[1])[None], right.shape[1]
    right_end = width - np.argmax(right[:, ::-1], axis=1)
    left_start = np.argmax(left, axis=1)
    there: Mask = np.logical_and(right.any(axis=1), left.any(axis=1))
    if there.any():
        right_end = np.maximum(right_end, np.quantile(right_end[there], STRAIGHT))
        left_start = np.minimum(left_start, np.quantile(left_start[there], 1.0 - STRAIGHT))
    found: Mask = there[:, None] & (columns >= right_end[:, None]) & (columns < left_start[:, None])
    return found
