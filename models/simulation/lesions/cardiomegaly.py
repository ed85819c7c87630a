"""Cardiomegaly: the heart wider, the lungs beside it displaced.

Physics. Dilated chambers widen the heart's shadow mostly to both sides and to the front; behind it the spine, below it
the diaphragm give less. Tissue is not made up: the lung beside it is pushed aside and the fat in front.

Model. Within the heart and up to 45 mm around it a voxel shows what was nearer to the heart's centre: source = p - u,
u = (1 - 1 / f) * (p - centre) * w, w falls smoothly to 0 with the distance to the heart and towards the chest wall, f
is 1 + severity-dependent in x, 0.7 of that in y and 0.5 in z. Transverse diameter grows by 20 to 50 %.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.simulation.chest import Chest, box_of
from models.simulation.fields import distance_inside, smoothstep
from models.simulation.lesions.registry import lesion
from models.simulation.warping import Box, moved_masks, positions, sampled

GROWTH = (0.20, 0.50)  # of the transverse diameter, severity 0 and 1
REACH_MM = 45.0
WALL_MM = 14.0
SHAPE = (0.5, 0.7, 1.0)  # of the growth along z, y, x
VARIED = (0.85, 1.15)


@lesion("Cardiomegaly")
def cardiomegaly(chest: Chest, rng: np.random.Generator, severity: float) -> Chest:
    """A wider heart; the mask is the heart. The chest as it is where no heart is known."""
    if not chest.heart.any():
        return chest
    wide = widened(chest, GROWTH[0] + (GROWTH[1] - GROWTH[0]) * severity, rng)
    return wide.with_lesion(wide.hu, "Cardiomegaly", wide.heart.copy())


def widened(chest: Chest, growth: float, rng: np.random.Generator) -> Chest:
    """The heart's transverse diameter times about 1 + growth; a growth below 0 makes it smaller."""
    box = box_of(chest.heart, int(np.ceil(REACH_MM / min(chest.spacing))))
    at = positions(box)
    source = at - _displacement(chest, box, at, growth * np.asarray(SHAPE) * rng.uniform(*VARIED, 3))
    hu, parts = chest.hu.copy(), chest.sides + 4 * chest.heart.astype(np.uint8)  # never both
    hu[box] = sampled(chest.hu, box, source)
    parts[box] = ndimage.map_coordinates(parts, source, order=0, mode="nearest", prefilter=False)
    sides, heart = (parts & 3).astype(np.uint8), parts >= 4
    moved = moved_masks(chest, box, source, np.ones(at.shape[1:], np.bool_))
    return replace(moved, hu=hu, sides=sides, heart=heart)


def _displacement(chest: Chest, box: Box, at: NDArray[np.float32], growths: NDArray[np.float64]) -> NDArray[np.float32]:
    """Voxels (3, d, h, w)."""
    heart = chest.heart[box]
    centre = np.argwhere(heart).mean(axis=0) + [one.start for one in box]
    pull = (1.0 - 1.0 / (1.0 + growths))[:, None, None, None]
    away = -distance_inside(heart, chest.spacing)
    near = away < 10.0  # what lies beside the heart moves with it
    movable = distance_inside(chest.lungs[box] | near, chest.spacing)
    weight = smoothstep(-away, -REACH_MM, 0.0) * smoothstep(movable, 0.0, WALL_MM)
    found: NDArray[np.float32] = (pull * (at - centre[:, None, None, None]) * weight).astype(np.float32)
    return found
