"""Moving tissue: a chest sampled at other positions, inside one box."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.simulation.chest import Chest

Box = tuple[slice, slice, slice]
Coordinates = NDArray[np.float32]


def sampled(values: NDArray[np.float32], box: Box, at: Coordinates) -> NDArray[np.float32]:
    """Values in a box, sampled linearly at positions (3, d, h, w) in voxels of the whole array."""
    found: NDArray[np.float32] = ndimage.map_coordinates(values, at, order=1, mode="nearest", prefilter=False)
    return found


def moved_masks(chest: Chest, box: Box, at: Coordinates, where: NDArray[np.bool_]) -> Chest:
    """The masks of earlier lesions moved with the tissue where `where` (the box's shape) holds."""
    masks = {}
    for label, mask in chest.masks.items():
        new = mask.copy()
        moved = sampled(mask.astype(np.float32), box, at) > 0.5
        new[box] = np.where(where, moved, new[box])
        masks[label] = new
    return replace(chest, masks=masks)


def positions(box: Box) -> Coordinates:
    """The positions (3, d, h, w) of the voxels of a box in voxels."""
    lines = [np.arange(one.start, one.stop, dtype=np.float32) for one in box]
    return np.stack(np.meshgrid(*lines, indexing="ij"))
