"""Chests for the tests of the simulation: a phantom, coarse and quick, and what surrounds a mask."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.simulation.chest import Chest
from models.simulation.phantoms.family import drawn_family, varied
from models.simulation.phantoms.render import render
from models.simulation.scanner.noise import Noise

SPACING = (3.0, 3.0, 3.0)


@lru_cache(maxsize=4)
def phantom(number: int = 0, sigma: float = 0.0) -> Chest:
    """A phantom of 3 mm; with a sigma as a scan that has noise already."""
    rng = np.random.default_rng(number)
    chest = render(varied(drawn_family(number, 0), rng), rng, SPACING)
    if sigma == 0:
        return chest
    noise = Noise(sigma, 2.0, 2.0)
    hu = chest.hu + noise.drawn(rng, chest.hu.shape, chest.spacing)
    return replace(chest, hu=hu.astype(np.float32), noise=noise)


def grown(mask: NDArray[np.bool_], voxels: int) -> NDArray[np.bool_]:
    """A mask and the voxels around it."""
    wide: NDArray[np.bool_] = ndimage.binary_dilation(mask, iterations=voxels)
    return wide
