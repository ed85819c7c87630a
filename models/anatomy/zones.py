"""Upper, middle and lower zone of each lung: thirds of that lung's own height, not of the picture's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.regions import Mask, bounds

ZONES = ("right upper", "right middle", "right lower", "left upper", "left middle", "left lower")
THIRDS = 3


def zones_of(right: Mask, left: Mask) -> NDArray[np.uint8]:
    """A map (rows, columns): 0 outside the lungs, else 1 + index in `ZONES`."""
    zones = np.zeros(right.shape, np.uint8)
    for first, lung in ((1, right), (1 + THIRDS, left)):
        if lung.any():
            rows = bounds(lung)[0]
            third = THIRDS * (np.arange(len(lung)) - rows.start) // (rows.stop - rows.start)
            zones[lung] = (first + np.broadcast_to(third[:, None], lung.shape)[lung]).astype(np.uint8)
    return zones
