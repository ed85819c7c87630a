"""What real chests have and no label names: scars, calcified granulomas, tubes, dependent haze, motion, edited patches.

They are drawn for every chest with the same chances, with or without lesions: an edge, a blurred patch, a bright spot
or a resampled heart tells nothing of a label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import ndimage

from models.simulation.chest import Chest, box_of
from models.simulation.fields import distance_inside, grid_mm, smooth_field, smoothstep
from models.simulation.lesions.cardiomegaly import widened
from models.simulation.trees import Tubes, drawn

Nuisance = Callable[[Chest, np.random.Generator], Chest]
HEART_CHANGE = 0.06


def granuloma(chest: Chest, rng: np.random.Generator) -> Chest:
    """One to three calcified spots of 2 to 6 mm."""
    hu = chest.hu.copy()
    inside = np.argwhere(chest.lungs)
    for _ in range(int(rng.integers(1, 4))):
        centre, radius = inside[rng.integers(len(inside))], float(rng.uniform(1.2, 3.0))
        box = tuple(slice(max(0, int(c) - 4), int(c) + 5) for c in centre)
        grid = np.mgrid[tuple(slice(b.start, min(b.stop, n)) for b, n in zip(box, hu.shape, strict=True))]
        away = np.sqrt((((grid - centre[:, None, None, None]).T * np.asarray(chest.spacing)) ** 2).sum(axis=-1)).T
        member = np.clip(0.5 + (radius - away) / max(chest.spacing), 0, 1)
        view = hu[box[0], box[1], box[2]]
        view += (np.maximum(view, rng.uniform(350, 900)) - view) * member
    return replace(chest, hu=hu)


def scar(chest: Chest, rng: np.random.Generator) -> Chest:
    """One or two bent plates of 1 to 3 mm at the pleura."""
    box = box_of(chest.lungs)
    depth = distance_inside(chest.lungs[box], chest.spacing)
    shell = np.argwhere((depth > 0) & (depth < 4))
    hu = chest.hu.copy()
    view = hu[box]
    grid = grid_mm(view.shape, chest.spacing)
    for _ in range(int(rng.integers(1, 3))):
        centre = shell[rng.integers(len(shell))] * np.asarray(chest.spacing)
        normal = rng.normal(0, 1, 3)
        normal /= np.linalg.norm(normal)
        away = [axis - c for axis, c in zip(grid, centre, strict=True)]
        across = sum(n * a for n, a in zip(normal, away, strict=True))
        across = across + 2.5 * smooth_field(rng, view.shape, chest.spacing, 25.0)
        far = np.sqrt(sum(a**2 for a in away))
        member = np.clip(0.5 + (rng.uniform(0.5, 1.5) - np.abs(across)) / max(chest.spacing), 0, 1)
        member *= smoothstep(-far, -rng.uniform(14, 40), -6.0) * (depth > 0) * 0.8
        view += (np.maximum(view, -20.0) - view) * member
    return replace(chest, hu=hu)


def haze(chest: Chest, rng: np.random.Generator) -> Chest:
    """Lung that is less aired where it hangs: up to 250 HU in the last 2 cm behind."""
    box = box_of(chest.lungs)
    lungs = chest.lungs[box]
    _, y, _ = grid_mm(lungs.shape, chest.spacing)
    last = (lungs.shape[1] - 1 - np.argmax(lungs[:, ::-1], axis=1))[:, None, :] * chest.spacing[1]
    behind = np.exp(-np.clip(last - y, 0, None) / rng.uniform(5, 10)) * lungs * (chest.hu[box] < -300)
    hu = chest.hu.copy()
    hu[box] += (rng.uniform(60, 250) * behind).astype(np.float32)
    return replace(chest, hu=hu)


def tube(chest: Chest, rng: np.random.Generator) -> Chest:
    """A catheter of 2 to 3 mm down through the mediastinum."""
    box = box_of(chest.lungs)
    size = np.array([(one.stop - one.start) * step for one, step in zip(box, chest.spacing, strict=True)])
    points = np.array([[1.02, 0.4, 0.5], [0.8, 0.42, 0.47], [0.6, 0.42, 0.44], [0.45, 0.4, 0.43]])
    points[:, 2] += rng.uniform(-0.03, 0.06)
    points = points * size + rng.normal(0, 3, points.shape)
    radius = np.full((3, 2), rng.uniform(1.0, 1.6))
    hu = chest.hu.copy()
    view = hu[box]
    view += (float(rng.uniform(250, 900)) - view) * drawn(
        Tubes(points[:-1], points[1:], radius), view.shape, chest.spacing
    )
    return replace(chest, hu=hu)


def motion(chest: Chest, rng: np.random.Generator) -> Chest:
    """The base smeared by breathing: the mean of two positions 2 to 4 mm apart."""
    shift = float(rng.uniform(1.0, 2.0))
    moved = ndimage.shift(chest.hu, (0, shift * rng.choice([-1, 1]), 0), order=1, mode="nearest", prefilter=False)
    z, _, _ = grid_mm(chest.hu.shape, (1.0 / chest.hu.shape[0], 1.0, 1.0))
    weight = 0.5 * smoothstep(-z, -0.6, -0.2)
    return replace(chest, hu=(chest.hu + (moved - chest.hu) * weight).astype(np.float32))


def edited_patch(chest: Chest, rng: np.random.Generator) -> Chest:
    """A patch of lung that is interpolated once more and gets new noise, as a lesion's surroundings do."""
    inside = np.argwhere(chest.lungs)
    centre = inside[rng.integers(len(inside))]
    box = tuple(
        slice(max(0, int(c) - r), min(n, int(c) + r))
        for c, r, n in zip(centre, rng.integers(6, 26, 3), chest.hu.shape, strict=True)
    )
    hu = chest.hu.copy()
    patch = hu[box[0], box[1], box[2]]
    shifted = ndimage.shift(patch, rng.uniform(-0.5, 0.5, 3), order=1, mode="nearest", prefilter=False)
    edge = np.ones(patch.shape, np.float32)
    weight = np.minimum(distance_inside(np.pad(edge > 0, 1), (1.0, 1.0, 1.0))[1:-1, 1:-1, 1:-1] / 4.0, 1.0)
    noise = chest.noise.drawn(rng, patch.shape, chest.spacing) * 0.6
    patch += (shifted + noise - patch) * weight
    return replace(chest, hu=hu)


def small_heart_change(chest: Chest, rng: np.random.Generator) -> Chest:
    """The heart up to 6 % wider or narrower, which is within a normal size and no label."""
    return widened(chest, float(rng.uniform(-HEART_CHANGE, HEART_CHANGE)), rng) if chest.heart.any() else chest


NUISANCES: dict[str, tuple[float, Nuisance]] = {
    "granuloma": (0.2, granuloma),
    "scar": (0.3, scar),
    "haze": (0.35, haze),
    "tube": (0.12, tube),
    "motion": (0.15, motion),
    "edited patch": (0.5, edited_patch),
}
"""Chance in every chest, and maker."""
