"""Pleural effusion: fluid that lies behind and below, with a meniscus, and a compressed lung in front of it.

Physics. Free fluid (0 to 20 HU; 30 where there is protein or blood) goes to the dependent part: in a patient on the
back behind, thickest at the base, ending as a crescent because capillarity and the lung's recoil draw it up the wall.
The lung floats: it is pushed to the front, the loss of gas is largest beside the fluid, where it collapses to soft
tissue (compressive atelectasis). Column by column the volume of the hemithorax stays.

Model. Fluid is where y + tilt * (height below the hilum) + m * exp(-distance to the wall / l) exceeds a level that
bisection sets for the wanted share of the hemithorax (severity 0 to 1: 3 to 34 %). Each column of lung in front of it
(front to back) is squeezed to what is left, its back part most; mass is conserved in the column.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.simulation.chest import LUNG_AIR_HU, Chest, box_of
from models.simulation.fields import distance_inside, grid_mm, sealed, smooth_field
from models.simulation.lesions.registry import lesion
from models.simulation.regions import LEFT, RIGHT
from models.simulation.warping import Box, moved_masks, positions, sampled

SHARE = (0.03, 0.34)  # of the hemithorax, severity 0 and 1
FLUID_HU = (0.0, 25.0)
COLLAPSED_HU = (25.0, 70.0)
MENISCUS_MM = 9.0


@lesion("Effusion")
def effusion(chest: Chest, rng: np.random.Generator, severity: float) -> Chest:
    """Fluid on one side, in one chest of three on both; the mask is the fluid, without the collapsed lung."""
    first = int(rng.integers(RIGHT, LEFT + 1))
    chosen = [first] if rng.random() < 0.67 else [first, RIGHT + LEFT - first]
    for number, side in enumerate(chosen):
        share = SHARE[0] + (SHARE[1] - SHARE[0]) * severity * (1.0 if number == 0 else float(rng.uniform(0.3, 0.9)))
        chest = _one_side(chest, rng, chest.sides == side, share)
    return chest


def _one_side(chest: Chest, rng: np.random.Generator, whole: NDArray[np.bool_], share: float) -> Chest:
    box = box_of(whole, 1)
    cavity = whole[box]
    wall = distance_inside(cavity, chest.spacing)
    free = cavity & ~_air(chest, box)
    fluid = _solved(free, _height(chest, rng, cavity, wall), share)
    source, squeeze = _squeezed(cavity, fluid, box)
    hu = chest.hu.copy()
    hu[box] = _filled(chest, rng, box, (cavity, fluid, source), squeeze)
    moved = moved_masks(chest, box, source, cavity)
    for mask in moved.masks.values():
        mask[box] &= ~fluid
    mask = np.zeros(whole.shape, np.bool_)
    mask[box] = fluid
    return moved.with_lesion(hu, "Effusion", mask)


def _air(chest: Chest, box: Box) -> NDArray[np.bool_]:
    """Pleural air of a pneumothorax that is there already: fluid stays below it."""
    mask = chest.masks.get("Pneumothorax")
    return np.zeros(chest.hu[box].shape, np.bool_) if mask is None else mask[box]


def _height(
    chest: Chest, rng: np.random.Generator, cavity: NDArray[np.bool_], wall: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How dependent a voxel is, mm."""
    z, y, _ = grid_mm(cavity.shape, chest.spacing)
    tilt = float(rng.uniform(0.15, 0.45))
    meniscus = float(rng.uniform(18.0, 40.0)) * np.exp(-wall / MENISCUS_MM)
    bend = smooth_field(rng, cavity.shape, chest.spacing, 70.0) * 2.5
    height: NDArray[np.float32] = (y - tilt * z + meniscus + bend).astype(np.float32)
    return height


def _solved(free: NDArray[np.bool_], height: NDArray[np.float32], share: float) -> NDArray[np.bool_]:
    values = height[free]
    level = np.quantile(values, 1.0 - share)
    solved: NDArray[np.bool_] = free & (height > level)
    return solved


def _squeezed(
    cavity: NDArray[np.bool_], fluid: NDArray[np.bool_], box: Box
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sources (3, d, h, w) in voxels, and how much the lung there was squeezed (d, h, w)."""
    rows = np.arange(cavity.shape[1], dtype=np.float32)[None, :, None]
    behind = np.cumsum(cavity[:, ::-1], axis=1, dtype=np.int16)[:, ::-1] > 0  # not behind the last voxel
    run = np.logical_and.accumulate((cavity | ~behind)[:, ::-1], axis=1)[:, ::-1] & cavity
    front = np.where(run.any(axis=1, keepdims=True), run.argmax(axis=1)[:, None], 0).astype(np.float32)
    whole = np.maximum(run.sum(axis=1, keepdims=True), 1).astype(np.float32)
    left = np.maximum((run & ~fluid).sum(axis=1, keepdims=True), 0.25 * whole).astype(np.float32)
    ratio = whole / _smoothed(left, whole)
    t = np.clip((rows - front) * ratio / whole, 0.0, 1.0)
    share = t / ratio + (1.0 - 1.0 / ratio) * t ** (1.0 + 1.5 * (ratio - 1.0))
    source = positions(box)
    source[1] = np.where(run, box[1].start + front + share * whole, source[1])
    return source, np.where(run, ratio, 1.0).astype(np.float32)


def _smoothed(left: NDArray[np.float32], whole: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is left of each column, without steps between neighbours."""
    share = ndimage.gaussian_filter(left / whole, (1.5, 0.0, 1.5), mode="nearest")
    smoothed: NDArray[np.float32] = share * whole
    return smoothed


def _filled(
    chest: Chest,
    rng: np.random.Generator,
    box: Box,
    parts: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float32]],
    squeeze: NDArray[np.float32],
) -> NDArray[np.float32]:
    cavity, fluid, source = parts
    old = chest.hu[box]
    noise = chest.noise.drawn(rng, old.shape, chest.spacing)
    inside = np.zeros(chest.hu.shape, np.float32)
    inside[box] = cavity
    tissue = np.where(sampled(inside, box, source) > 0.95, sampled(chest.hu, box, source), old)
    dense = np.minimum((tissue - LUNG_AIR_HU) * np.minimum(squeeze, 1.6) + LUNG_AIR_HU, np.maximum(tissue, 60.0))
    depth = distance_inside(~fluid, chest.spacing)
    band = float(rng.uniform(4.0, 10.0)) + 9.0 * (squeeze - 1.0) ** 0.5
    texture = smooth_field(rng, old.shape, chest.spacing, 14.0)
    collapse = np.clip(1.4 - depth / (band * (1.0 + 0.35 * texture)).clip(2.0), 0.0, 1.0)
    collapse = np.where(_air(chest, box), 0.0, collapse)
    target = float(rng.uniform(*COLLAPSED_HU)) + 8.0 * texture + noise
    lung = dense * (1 - collapse) + np.maximum(dense, target) * collapse
    liquid = float(rng.uniform(*FLUID_HU)) + 2.0 * texture + noise
    outside = np.where(cavity, old, sealed(old, fluid, liquid))
    return np.where(cavity, np.where(fluid, liquid, lung), outside).astype(np.float32)
