"""Pneumothorax: air between the pleurae, in front of a lung that shrinks towards its hilum.

Physics. Pleural air rises to where the hemithorax is highest: in a patient on the back in front, at the base in front
and at the side. The lung is held at the hilum and by its weight lies behind, so it draws back from the front wall
first and from the back wall last. The hemithorax keeps its volume: what the lung loses the air takes. Gas and part of
the blood leave the lung; its mass per volume rises as (volume before / after) to the power 0.6. The visceral pleura is
a line of soft tissue of about 1 mm, which on 2 mm voxels averages to some hundred HU above air.

Model. On each ray from the hilum the lung ends at the share k of the way to the wall, k = 1 - a * s(direction), s
largest in front; `a` is found by bisection so that the air has the wanted share of the hemithorax (severity 0 to 1: 6
to 55 %). A voxel at p shows the tissue that was at hilum + (p - hilum) / k; where that lies outside of the lung, air.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.simulation.chest import LUNG_AIR_HU, Chest, box_of
from models.simulation.fields import SEAM_HU, distance_inside, sealed, smooth_field, smoothstep
from models.simulation.lesions.registry import lesion
from models.simulation.regions import LEFT, RIGHT, hilum
from models.simulation.warping import Box, moved_masks, positions, sampled

SHARE = (0.06, 0.55)  # of the hemithorax, severity 0 and 1
BLOOD_POWER = 0.6
PLEURA_HU = -520.0  # 1 mm of soft tissue on 2 mm voxels, beside air
AIR_HU, LUNG_HU, WALL_HU = -1000.0, -850.0, 50.0


@lesion("Pneumothorax")
def pneumothorax(chest: Chest, rng: np.random.Generator, severity: float) -> Chest:
    """Air on one side in front of a smaller lung; the mask is the air."""
    side = int(rng.integers(RIGHT, LEFT + 1))
    whole = chest.sides == side
    box = box_of(whole, 1)
    cavity = whole[box]
    at, shrink = _rays(chest, box, side, rng)
    share = SHARE[0] + (SHARE[1] - SHARE[0]) * severity
    source, lung = _solved(cavity, at, shrink, share, box)
    if not lung.any() or lung.sum() == cavity.sum():
        return chest
    ratio = float(cavity.sum() / lung.sum())
    hu = chest.hu.copy()
    hu[box] = _filled(chest, rng, box, (cavity, lung, source), ratio)
    moved = moved_masks(chest, box, source, cavity)
    moved = _without(moved, box, cavity & ~lung)
    mask = np.zeros(whole.shape, np.bool_)
    mask[box] = cavity & ~lung
    return moved.with_lesion(hu, "Pneumothorax", mask)


def _rays(
    chest: Chest, box: Box, side: int, rng: np.random.Generator
) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]:
    """((positions, hilum) in voxels, s of each voxel's direction 0..1)."""
    outward = -1.0 if side == RIGHT else 1.0
    centre = np.asarray(hilum(chest.sides == side, -outward), np.float32)
    at = positions(box)
    step = np.asarray(chest.spacing, np.float32)[:, None, None, None]
    away = (at - centre[:, None, None, None]) * step
    length = np.maximum(np.sqrt((away**2).sum(axis=0)), 1e-3)
    z, y, x = away / length
    upward = float(rng.uniform(-0.25, 0.35))  # apical or basal emphasis
    front = -y * 0.95 + outward * x * float(rng.uniform(0.2, 0.5)) + upward * z
    bend = smooth_field(rng, at.shape[1:], chest.spacing, 80.0) * 0.06
    medial = smoothstep((outward * x).astype(np.float32), -0.6, 0.1)  # at the mediastinum the pleurae stay together
    shrink = smoothstep((front + bend).astype(np.float32), -0.75, 0.8) * (0.35 + 0.65 * medial)
    return (at, centre), shrink


def _solved(
    cavity: NDArray[np.bool_],
    at: tuple[NDArray[np.float32], NDArray[np.float32]],
    shrink: NDArray[np.float32],
    share: float,
    box: Box,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Sources (3, d, h, w) in voxels and the lung, with the amplitude whose air has the wanted share."""
    inside = np.zeros([one.stop for one in box], np.float32)
    inside[box] = cavity
    low, high = 0.0, 0.92
    for _ in range(7):
        middle = 0.5 * (low + high)
        lung = _remaining(inside, cavity, _source(at, shrink, middle), order=0)
        if 1.0 - lung.sum() / cavity.sum() < share:
            low = middle
        else:
            high = middle
    source = _source(at, shrink, 0.5 * (low + high))
    return source, _largest(_remaining(inside, cavity, source, order=1))


def _source(
    at: tuple[NDArray[np.float32], NDArray[np.float32]], shrink: NDArray[np.float32], amplitude: float
) -> NDArray[np.float32]:
    centre = at[1][:, None, None, None]
    source: NDArray[np.float32] = centre + (at[0] - centre) / (1.0 - np.float32(amplitude) * shrink)
    return source


def _remaining(
    inside: NDArray[np.float32], cavity: NDArray[np.bool_], source: NDArray[np.float32], order: int
) -> NDArray[np.bool_]:
    found = ndimage.map_coordinates(inside, source, order=order, mode="constant", prefilter=False)
    remaining: NDArray[np.bool_] = (found > 0.5) & cavity
    return remaining


def _largest(lung: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The lung in one piece: islands where a ray crosses the diaphragm are air."""
    parts, count = ndimage.label(lung)
    if count < 2:
        return lung
    largest: NDArray[np.bool_] = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    return largest


def _filled(
    chest: Chest,
    rng: np.random.Generator,
    box: Box,
    parts: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float32]],
    ratio: float,
) -> NDArray[np.float32]:
    cavity, lung, source = parts
    old = chest.hu[box]
    noise = chest.noise.drawn(rng, old.shape, chest.spacing)
    tissue = sampled(chest.hu, box, source)
    dense = np.minimum((tissue - LUNG_AIR_HU) * ratio**BLOOD_POWER + LUNG_AIR_HU, np.maximum(tissue, 60.0))
    edge = distance_inside(lung, chest.spacing)
    wall = distance_inside(cavity, chest.spacing)
    line = lung & (edge < 0.5 * min(chest.spacing)) & (wall > edge + 0.5)
    dense = np.where(line, np.maximum(dense, PLEURA_HU + noise), dense)
    rim = np.where(old < SEAM_HU, _emptied(old), old * 0.4 + 0.6 * AIR_HU) + noise  # the layer that the wall shares
    air = np.where(wall < 0.5 * min(chest.spacing), rim, AIR_HU + noise)
    outside = sealed(old, cavity & ~lung, _emptied(old))
    return np.where(cavity, np.where(lung, dense, air), outside).astype(np.float32)


def _emptied(old: NDArray[np.float32]) -> NDArray[np.float32]:
    """A voxel of wall and lung with air instead of lung."""
    share = np.clip((WALL_HU - old) / (WALL_HU - LUNG_HU), 0.0, 1.0)
    emptied: NDArray[np.float32] = (WALL_HU + share * (AIR_HU - WALL_HU)).astype(np.float32)
    return emptied


def _without(chest: Chest, box: Box, air: NDArray[np.bool_]) -> Chest:
    """Earlier masks without the space that the air took."""
    for mask in chest.masks.values():
        mask[box] &= ~air
    return chest
