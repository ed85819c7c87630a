"""Nodules: solid, part-solid and ground-glass.

Physics. A solid nodule is soft tissue (10 +- 30 HU, more with contrast) of 4 to 30 mm; tumour strands and drawn-in
septa make spicules, smooth ones are round or lobed. Where the voxel is as large as the nodule, partial volume lowers
what is measured. Ground glass is lung whose gas is partly replaced: -700 to -450 HU, vessels stay visible through it
and the border is soft. Part-solid nodules have a solid core in ground glass. Some hang on a vessel, some sit on the
pleura, flattened against it.

Model. Radius as a function of direction: a sum of smooth random fields on the sphere, plus tapering cones for spicules;
membership is 1 inside, 0 outside, linear over one voxel (solid) or a third of the radius (ground glass). Label Nodule:
solid nodules; Ground_Glass_Nodule: pure and part-solid ones, the mask includes their core.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.simulation.chest import Chest, box_of
from models.simulation.fields import distance_inside, smooth_field
from models.simulation.lesions.registry import lesion

SOLID_MM, GLASS_MM = (4.0, 30.0), (7.0, 32.0)  # diameters, severity 0 and 1
SOLID_HU = (10.0, 30.0)  # mean and standard deviation
GLASS_HU = (-700.0, -450.0)
MOST = 4
VESSEL_HU = (-500.0, 200.0)

Box = tuple[slice, slice, slice]


@lesion("Nodule")
def solid(chest: Chest, rng: np.random.Generator, severity: float) -> Chest:
    """One to four solid nodules; the largest has the size of the severity."""
    return _several(chest, rng, severity, "Nodule", SOLID_MM)


@lesion("Ground_Glass_Nodule")
def ground_glass(chest: Chest, rng: np.random.Generator, severity: float) -> Chest:
    """One to three ground-glass nodules, a third of them with a solid core."""
    return _several(chest, rng, severity, "Ground_Glass_Nodule", GLASS_MM)


def _several(
    chest: Chest, rng: np.random.Generator, severity: float, label: str, range_mm: tuple[float, float]
) -> Chest:
    free = _free(chest)
    if not free.any():
        return chest
    number = min(MOST, int(rng.geometric(0.65)))
    for one in range(number):
        share = severity if one == 0 else severity * rng.random()
        diameter = range_mm[0] + (range_mm[1] - range_mm[0]) * share**1.3
        chest = _one(chest, rng, free, label, float(diameter))
    return chest


def _free(chest: Chest) -> NDArray[np.bool_]:
    """Lung that holds air."""
    free = chest.lungs.copy()
    for label in ("Pneumothorax", "Effusion", "Consolidation"):
        mask = chest.masks.get(label)
        if mask is not None:
            free &= ~mask
    return free


def _one(chest: Chest, rng: np.random.Generator, free: NDArray[np.bool_], label: str, diameter: float) -> Chest:
    centre = _centre(chest, rng, free, diameter / 2)
    reach = 0.5 * diameter * 1.9 + 2 * max(chest.spacing)
    box = _box_around(centre, reach, chest)
    glass = label == "Ground_Glass_Nodule"
    spiculation = 0.0 if glass else float(rng.choice([0.0, rng.uniform(0.5, 1.0)]))
    far = _reduced(chest, rng, centre, box, spiculation)
    inside = chest.lungs[box]
    edge = 0.35 * diameter / 2 if glass else 0.5 * max(chest.spacing)
    member = np.clip(0.5 + (diameter / 2 - far) / (2 * edge), 0.0, 1.0) * inside
    hu = chest.hu.copy()
    if glass:
        hu[box] = _hazy(chest, rng, box, member)
        if rng.random() < 0.35:
            core = np.clip(0.5 + (0.42 * diameter / 2 - far) / max(chest.spacing), 0.0, 1.0) * inside
            hu[box] = _dense(chest, rng, box, core.astype(np.float32), hu[box])
    else:
        hu[box] = _dense(chest, rng, box, member.astype(np.float32), hu[box])
    mask = np.zeros(hu.shape, np.bool_)
    mask[box] = member >= 0.5
    return chest.with_lesion(hu, label, mask) if mask.any() else chest


def _centre(chest: Chest, rng: np.random.Generator, free: NDArray[np.bool_], radius: float) -> NDArray[np.int64]:
    """A voxel: at the pleura, on a vessel or anywhere that the nodule fits."""
    box = box_of(free)
    depth = distance_inside(free[box], chest.spacing)
    kind = rng.choice(3, p=[0.25, 0.3, 0.45])
    fits = depth > min(radius * 0.8, 0.7 * float(depth.max()))
    if kind == 0:
        fits = (depth > 0.35 * radius) & (depth < 0.75 * radius + max(chest.spacing))
    elif kind == 1:
        smooth = ndimage.uniform_filter(chest.hu[box], 2)
        vessel = (smooth > VESSEL_HU[0]) & (smooth < VESSEL_HU[1]) & fits & (depth > 6.0)
        fits = ndimage.binary_dilation(vessel, iterations=max(1, round(0.7 * radius / max(chest.spacing)))) & fits
    where = np.argwhere(fits if fits.any() else depth > 0.5 * float(depth.max()))
    chosen: NDArray[np.int64] = where[rng.integers(len(where))] + [one.start for one in box]
    return chosen


def _box_around(centre: NDArray[np.int64], reach: float, chest: Chest) -> Box:
    steps = [int(np.ceil(reach / step)) for step in chest.spacing]
    z, y, x = (
        slice(max(0, int(c) - s), min(n, int(c) + s + 1)) for c, s, n in zip(centre, steps, chest.hu.shape, strict=True)
    )
    return z, y, x


def _reduced(
    chest: Chest, rng: np.random.Generator, centre: NDArray[np.int64], box: Box, spiculation: float
) -> NDArray[np.float32]:
    """Distance to the centre in mm, less where the nodule reaches farther in that direction."""
    offsets = centre + rng.uniform(-0.5, 0.5, 3)
    grid = np.mgrid[box].astype(np.float64)
    away = (grid - offsets[:, None, None, None]) * np.asarray(chest.spacing)[:, None, None, None]
    stretch = np.exp(rng.normal(0, 0.13, 3))
    far = np.sqrt(((away / stretch[:, None, None, None]) ** 2).sum(axis=0))
    unit = away / np.maximum(np.sqrt((away**2).sum(axis=0)), 1e-6)
    lobed = _on_sphere(unit, rng, 10, 2.5) * 0.11
    spikes = _spikes(unit, rng) * spiculation
    reduced: NDArray[np.float32] = (far / np.maximum(1.0 + lobed + spikes, 0.4)).astype(np.float32)
    return reduced


def _on_sphere(
    unit: NDArray[np.float64], rng: np.random.Generator, waves: int, frequency: float
) -> NDArray[np.float64]:
    """A smooth function of the direction with about unit deviation."""
    total = np.zeros(unit.shape[1:])
    for _ in range(waves):
        direction, phase = rng.normal(0, frequency, 3), rng.uniform(0, 2 * np.pi)
        total += np.cos(np.tensordot(direction, unit, 1) + phase)
    scaled: NDArray[np.float64] = total * np.sqrt(2.0 / waves)
    return scaled


def _spikes(unit: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Narrow cones, up to 0.8 of the radius long."""
    total = np.zeros(unit.shape[1:])
    for _ in range(int(rng.integers(10, 22))):
        axis = rng.normal(0, 1, 3)
        cosine = np.tensordot(axis / np.linalg.norm(axis), unit, 1)
        total = np.maximum(total, rng.uniform(0.3, 0.8) * np.exp((cosine - 1.0) / 0.02))
    return total


def _dense(
    chest: Chest, rng: np.random.Generator, box: Box, member: NDArray[np.float32], old: NDArray[np.float32]
) -> NDArray[np.float32]:
    noise = chest.noise.drawn(rng, old.shape, chest.spacing)
    density = float(np.clip(rng.normal(*SOLID_HU), -60.0, 90.0))
    target = density + 8.0 * smooth_field(rng, old.shape, chest.spacing, 6.0) + noise
    dense: NDArray[np.float32] = (old + np.maximum(target - old, 0.0) * member).astype(np.float32)
    return dense


def _hazy(chest: Chest, rng: np.random.Generator, box: Box, member: NDArray[np.float32]) -> NDArray[np.float32]:
    """Part of the gas replaced: lung approaches the target, what is denser stays."""
    old = chest.hu[box]
    target = float(rng.uniform(*GLASS_HU)) + 35.0 * smooth_field(rng, old.shape, chest.spacing, 5.0)
    lung = float(np.median(old[member > 0.3])) if (member > 0.3).any() else -850.0
    added = np.maximum(target - lung, 60.0) * np.clip((100.0 - old) / (100.0 - lung), 0.0, 1.0)
    hazy: NDArray[np.float32] = (old + added * member).astype(np.float32)
    return hazy
