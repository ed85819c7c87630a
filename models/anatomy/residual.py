"""Where a chest is brighter or darker than normal ones are at the same place.

All on the grid of a crop (`models.anatomy.crop`), whose cells hold the same part of the chest in each image: a
reconstruction by the mean of normal images, and its residual. After Baur et al., Medical Image Analysis 69 (2021).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CELLS = 48  # a side
LEAST_DEVIATION = 0.03  # of intensity: added to the deviation of normal images

Floats = NDArray[np.float32]


def brightness(crop: Floats) -> Floats:
    """A crop (S, S), S a multiple of `CELLS`, averaged within cells: (CELLS, CELLS)."""
    part = len(crop) // CELLS
    found: Floats = crop.reshape(CELLS, part, CELLS, part).mean((1, 3))
    return found


def normal_chest(cells: Floats, lungs: Floats) -> Floats:
    """Mean and deviation (2, CELLS, CELLS) of the brightness (N, CELLS, CELLS) of normal images, weighted by lungs."""
    weight = np.maximum(lungs.sum(0), 1e-6)
    mean = (cells * lungs).sum(0) / weight
    deviation = np.sqrt(((cells - mean) ** 2 * lungs).sum(0) / weight)
    return np.stack([mean, deviation]).astype(np.float32)


def residual(cells: Floats, normal: Floats, lungs: Floats) -> Floats:
    """How much brighter (CELLS, CELLS) than normal, in deviations, less the median within this image's lungs.

    `lungs` (CELLS, CELLS) is the part of each cell that is lung; without any the median is of all cells.
    """
    mean, deviation = normal
    away = (cells - mean) / (deviation + LEAST_DEVIATION)
    inside = lungs >= 0.5
    found: Floats = (away - np.median(away[inside] if inside.any() else away)).astype(np.float32)
    return found
