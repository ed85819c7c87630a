"""Sides, hila, lobes and heart of a chest, from the mask of its lungs.

Fissures of real anatomies are not seen at 2 mm: lobes are cut by planes at the usual height (the oblique fissure runs
from the third thoracic vertebra to the front of the base, the horizontal one at the fourth rib), bent at random. They
are zones named after lobes. The heart of a real anatomy is soft tissue between the lungs in their lower two thirds, in
front of the spine: a heuristic, good enough to widen it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.errors import InputError
from models.simulation.chest import box_of
from models.simulation.fields import Spacing, distance_inside, grid_mm, smooth_field

RIGHT, LEFT = 1, 2
LOBES = {1: "right upper", 2: "middle", 3: "right lower", 4: "left upper", 5: "left lower"}
SMALLEST_LUNG_ML = 300.0
FORWARD_MM = 40.0


def sides_of(lungs: NDArray[np.bool_], spacing: Spacing) -> NDArray[np.uint8]:
    """1 right, 2 left: the two largest parts after a thinning that cuts where they touch.

    Raises
    ------
    InputError
        There are no two lungs in the mask.
    """
    depth = distance_inside(lungs, spacing)
    for thin in (0.0, 2.0, 4.0, 7.0, 10.0):
        parts, count = ndimage.label(depth > thin)
        if count < 2:
            continue
        sizes = np.bincount(parts.ravel())[1:] * float(np.prod(spacing)) / 1000.0
        order = np.argsort(sizes)[::-1][:2] + 1
        if sizes[order[1] - 1] > SMALLEST_LUNG_ML * 0.5:
            return _grown(parts, order, lungs, spacing)
    raise InputError("The mask holds no two lungs: both must be in the volume.")


def _grown(
    parts: NDArray[np.int32], order: NDArray[np.int64], lungs: NDArray[np.bool_], spacing: Spacing
) -> NDArray[np.uint8]:
    first, second = parts == order[0], parts == order[1]
    if np.argwhere(first)[:, 2].mean() > np.argwhere(second)[:, 2].mean():
        first, second = second, first
    nearer = distance_inside(first, spacing) >= distance_inside(second, spacing)
    sides: NDArray[np.uint8] = np.where(lungs, np.where(nearer, RIGHT, LEFT), 0).astype(np.uint8)
    return sides


def hilum(side: NDArray[np.bool_], to_left: float) -> tuple[float, float, float]:
    """Where vessels enter a lung, voxels (z, y, x): its medial border at mid-height. `to_left`: 1 right, -1 left."""
    zs, ys, xs = box_of(side)
    z = zs.start + 0.52 * (zs.stop - zs.start)
    y = ys.start + 0.52 * (ys.stop - ys.start)
    slab = side[int(z) - 2 : int(z) + 3, int(y) - 3 : int(y) + 4]
    columns = np.flatnonzero(slab.any(axis=(0, 1)))
    if columns.size == 0:
        return z, y, 0.5 * (xs.start + xs.stop)
    return z, y, float(columns.max() if to_left > 0 else columns.min())


def lobes_of(sides: NDArray[np.uint8], spacing: Spacing, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Zones named after lobes (see LOBES), 0 outside the lungs."""
    lobes = np.zeros(sides.shape, np.uint8)
    for side, upper, lower in ((RIGHT, 1, 3), (LEFT, 4, 5)):
        mask = sides == side
        box = box_of(mask)
        part = mask[box]
        z, y, _ = (axis / max(float(axis.max()), 1.0) for axis in grid_mm(part.shape, spacing))
        bend = smooth_field(rng, part.shape, spacing, 90.0) * 0.025
        low, high = rng.uniform(0.05, 0.14), rng.uniform(0.68, 0.78)
        below = z + bend < low + (high - low) * y
        found = np.where(below, lower, upper)
        if side == RIGHT:
            found = np.where(~below & (z + bend < rng.uniform(0.45, 0.52)) & (y < 0.75), 2, found)
        lobes[box] = np.where(part, found, lobes[box])
    return lobes


def heart_of(hu: NDArray[np.float32], sides: NDArray[np.uint8], spacing: Spacing) -> NDArray[np.bool_]:
    """The heart of a real anatomy by rule: soft tissue between the lungs, compact, in front of the spine."""
    lungs = sides > 0
    zs, ys, _ = box_of(lungs)
    right = np.maximum.accumulate(_drawn_forward(sides == RIGHT, spacing), axis=2)
    left = np.flip(np.maximum.accumulate(np.flip(_drawn_forward(sides == LEFT, spacing), 2), axis=2), 2)
    between = right & left & ~lungs & (ndimage.uniform_filter(hu, 3) > -60)
    height, depth = zs.stop - zs.start, ys.stop - ys.start
    front = np.where(lungs.any(axis=(1, 2)), lungs.any(axis=2).argmax(axis=1), hu.shape[1])
    between &= np.arange(hu.shape[1])[None, :, None] > (front + 4.0 / spacing[1])[:, None, None]
    between[: zs.start + int(0.08 * height)] = False
    between[zs.start + int(0.58 * height) :] = False
    between[:, ys.start + int(0.74 * depth) :] = False
    core = distance_inside(between, spacing) > 12.0
    parts, count = ndimage.label(core)
    if count == 0:
        return np.zeros(hu.shape, np.bool_)
    largest = np.bincount(parts.ravel())[1:].argmax() + 1
    grown: NDArray[np.bool_] = between & (distance_inside(parts == largest, spacing) > -13.0)
    return grown


def _drawn_forward(side: NDArray[np.bool_], spacing: Spacing) -> NDArray[np.bool_]:
    """A lung that reaches 40 mm farther to the front, where the heart touches the chest wall."""
    steps = round(FORWARD_MM / spacing[1])
    reached: NDArray[np.bool_] = ndimage.maximum_filter1d(side.view(np.uint8), 2 * steps + 1, axis=1, origin=-steps) > 0
    return reached
