"""The lungs as the air inside the body: nothing is learned, and what holds no air is missing."""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from models.errors import InputError
from models.regions import Mask

SMALLEST_LUNG_MM3 = 300_000.0  # one lung after resection or effusion; bowel gas is smaller
_IN_SLICE = np.zeros((3, 3, 3), np.bool_)  # neighbours of the same slice
_IN_SLICE[1] = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]


def air_lungs(working: sitk.Image, threshold_hu: float) -> sitk.Image:
    """Mask of the lungs: air that no slice connects to the sides of the volume, in parts as large as a lung.

    Raises
    ------
    InputError
        No large space of air inside the body.
    """
    inside = air_inside(sitk.GetArrayViewFromImage(working) < threshold_hu)
    parts = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(inside.astype(np.uint8))))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    wanted = sizes * math.prod(working.GetSpacing()) >= SMALLEST_LUNG_MM3
    if not wanted.any():
        raise InputError(
            "No lungs were found in the volume: it shows too little of the chest, or its values are no HU."
        )
    mask = sitk.GetImageFromArray(wanted[parts].astype(np.uint8))
    mask.CopyInformation(working)
    return mask


def air_inside(air: Mask) -> Mask:
    """The air without that around the patient, which reaches the sides; through the mouth it may reach the lungs."""
    parts, count = ndimage.label(air, _IN_SLICE)
    outside = np.zeros(count + 1, np.bool_)
    outside[0] = True
    for side in (parts[:, 0], parts[:, -1], parts[:, :, 0], parts[:, :, -1]):
        outside[side.ravel()] = True
    inside: Mask = ~outside[parts]
    return inside
