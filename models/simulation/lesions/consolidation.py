"""Consolidation: alveoli full of fluid or cells, bounded by the fissure, with air left in the bronchi.

Physics. Filled lung is as dense as soft tissue (20 to 60 HU, more with contrast), its vessels are no longer seen; it
keeps its volume. Fluid spreads from alveolus to alveolus and stops at fissures and pleura: sharp there, ground glass
and feathered elsewhere. Bronchi stay open: branching tubes of air (air bronchograms). Aspiration and stasis prefer
dependent segments: behind and below.

Model. In one lobe (zone) a seed is drawn with weight on the back and the base; filled are the voxels whose distance to
it, bent by a smooth field, is below a radius that a quantile sets (severity 0 to 1: 12 to 85 % of the lobe). The
border is 8 to 25 mm wide where the lung goes on. A bronchial tree from the hilum through the region is spared. The mask
is where at least half of the gas is gone, bronchi included.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.simulation.chest import LUNG_AIR_HU, Chest, box_of
from models.simulation.fields import grid_mm, sealed, smooth_field, smoothstep
from models.simulation.lesions.registry import lesion
from models.simulation.regions import LEFT, RIGHT, hilum, lobes_of
from models.simulation.trees import drawn, grown
from models.simulation.warping import Box

SHARE = (0.12, 0.85)  # of the lobe, severity 0 and 1
CHANCES = (0.12, 0.14, 0.32, 0.12, 0.30)  # lower lobes first
FILLED_HU = (20.0, 60.0)
BRONCHUS_HU = -900.0
LEAVES = 26


@lesion("Consolidation")
def consolidation(chest: Chest, rng: np.random.Generator, severity: float) -> Chest:
    """One consolidation in one lobe, in one chest of five a second one; the mask is filled lung."""
    lobes = lobes_of(_aerated_sides(chest), chest.spacing, rng)
    number = 1 if rng.random() < 0.8 else 2
    for lobe in rng.choice(np.arange(1, 6), number, replace=False, p=CHANCES):
        if (lobes == lobe).sum() * chest.voxel_ml() > 60:
            chest = _one(chest, rng, lobes == lobe, int(lobe), severity)
    return chest


def _aerated_sides(chest: Chest) -> NDArray[np.uint8]:
    """Sides without what earlier lesions took out of the lung."""
    air = chest.masks.get("Pneumothorax")
    return chest.sides if air is None else np.where(air, 0, chest.sides).astype(np.uint8)


def _one(chest: Chest, rng: np.random.Generator, whole: NDArray[np.bool_], lobe: int, severity: float) -> Chest:
    box = box_of(whole, 2)
    region = whole[box]
    filled = _filling(chest, rng, region, SHARE[0] + (SHARE[1] - SHARE[0]) * severity)
    side = RIGHT if lobe <= 3 else LEFT
    open_air = _bronchi(chest, rng, box, filled, side) * rng.uniform(0.5, 1.0)
    hu = chest.hu.copy()
    hu[box] = _solid(chest, rng, box, filled, open_air)
    mask = np.zeros(hu.shape, np.bool_)
    mask[box] = region & (filled > 0.5)
    return chest.with_lesion(hu, "Consolidation", mask)


def _filling(chest: Chest, rng: np.random.Generator, region: NDArray[np.bool_], share: float) -> NDArray[np.float32]:
    """Share of gas that is gone, 0..1."""
    inside = np.argwhere(region)
    weight = np.exp(2.0 * inside[:, 1] / region.shape[1] - 1.2 * inside[:, 0] / region.shape[0])
    seed = inside[rng.choice(len(inside), p=weight / weight.sum())] * np.asarray(chest.spacing)
    z, y, x = grid_mm(region.shape, chest.spacing)
    away = np.sqrt((z - seed[0]) ** 2 + (y - seed[1]) ** 2 + (x - seed[2]) ** 2)
    bend = smooth_field(rng, region.shape, chest.spacing, 30.0) * 9.0
    bend += smooth_field(rng, region.shape, chest.spacing, 10.0) * 4.0
    far = (away + bend).astype(np.float32)
    radius = float(np.quantile(far[region], share))
    width = float(rng.uniform(8.0, 25.0))
    found: NDArray[np.float32] = smoothstep(-far, -radius - 0.6 * width, -radius + 0.4 * width) * region
    return found


def _bronchi(
    chest: Chest, rng: np.random.Generator, box: Box, filled: NDArray[np.float32], side: int
) -> NDArray[np.float32]:
    """Share of each voxel that is open bronchus."""
    inside = np.argwhere(filled > 0.6)
    if len(inside) < 50:
        return np.zeros(filled.shape, np.float32)
    step = np.asarray(chest.spacing)
    root = np.asarray(hilum(chest.sides == side, 1.0 if side == RIGHT else -1.0)) - [one.start for one in box]
    leaves = inside[rng.choice(len(inside), min(LEAVES, len(inside)), replace=False)] * step
    leaves += rng.normal(0, 0.5, leaves.shape)
    tubes = grown(root * step, leaves, float(rng.uniform(0.75, 1.0)), rng)
    return drawn(tubes, filled.shape, chest.spacing)


def _solid(
    chest: Chest, rng: np.random.Generator, box: Box, filled: NDArray[np.float32], open_air: NDArray[np.float32]
) -> NDArray[np.float32]:
    old = chest.hu[box]
    noise = chest.noise.drawn(rng, old.shape, chest.spacing)
    texture = smooth_field(rng, old.shape, chest.spacing, 8.0)
    density = float(rng.uniform(0.94, 1.0))
    target = float(rng.uniform(*FILLED_HU)) + 12.0 * texture + noise
    target = LUNG_AIR_HU + (target - LUNG_AIR_HU) * density
    target = np.maximum(target, np.minimum(old, 80.0))
    target = target * (1 - open_air) + np.minimum(target, BRONCHUS_HU + noise) * open_air
    solid: NDArray[np.float32] = (old + (target - old) * filled).astype(np.float32)
    return np.where(chest.lungs[box], solid, sealed(solid, filled > 0.5, target.astype(np.float32))).astype(np.float32)
