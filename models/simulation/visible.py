"""Which lesions can be seen once all are made: what another one covered has no mask and no label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from models.simulation.chest import Chest, Mask, box_of

SMALLEST_ML = {"Nodule": 0.02, "Ground_Glass_Nodule": 0.05}
SMALLEST_OTHER_ML = 3.0
AERATED_HU = -500.0
AERATED = 0.25  # of the shell around a nodule: a nodule in collapsed lung is not seen


def visible(chest: Chest) -> Chest:
    """The chest with the masks that can be seen and are not too small."""
    masks = {}
    for label, mask in chest.masks.items():
        seen = _nodules(chest, mask) if label in SMALLEST_ML else mask
        if label == "Emphysema":
            seen = mask & (chest.hu < AERATED_HU)
        if seen.sum() * chest.voxel_ml() >= SMALLEST_ML.get(label, SMALLEST_OTHER_ML):
            masks[label] = seen
    return replace(chest, masks=masks)


def _nodules(chest: Chest, mask: Mask) -> Mask:
    """The nodules with air around them."""
    parts, count = ndimage.label(mask)
    kept = np.zeros(mask.shape, np.bool_)
    for number in range(1, count + 1):
        one = parts == number
        box = box_of(one, 3)
        shell = ndimage.binary_dilation(one[box], iterations=2) & ~one[box]
        if (chest.hu[box][shell] < AERATED_HU).mean() >= AERATED:
            kept |= one
    return kept
