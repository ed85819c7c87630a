"""Probability maps of two ellipses: the right lung on the image's left, and the left one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.regions import Mask

SIDE = 128
RIGHT, LEFT = (60.0, 38.0), (62.0, 90.0)  # centres (row, column)
AXES = (38.0, 20.0)  # half the height, half the width


def ellipse(centre: tuple[float, float], axes: tuple[float, float] = AXES) -> Mask:
    rows, columns = np.ogrid[:SIDE, :SIDE]
    inside: Mask = ((rows - centre[0]) / axes[0]) ** 2 + ((columns - centre[1]) / axes[1]) ** 2 <= 1.0
    return inside


def probability(*masks: Mask, inside: float = 0.95, outside: float = 0.02) -> NDArray[np.float32]:
    """`inside` where a mask is, else `outside`; both lungs where none is given."""
    shown = masks or (ellipse(RIGHT), ellipse(LEFT))
    return np.where(np.any(shown, axis=0), inside, outside).astype(np.float32)
