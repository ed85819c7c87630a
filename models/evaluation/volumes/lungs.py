"""The lungs of a volume by classical image analysis, for baselines where nobody outlined them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.anatomy.ct.air import SMALLEST_LUNG_MM3, air_inside
from models.data.volumes.maps import on_grid
from models.data.volumes.volume import Volume

Mask = NDArray[np.bool_]
LungMask = Callable[[Volume], Mask | None]
"""The lungs (d, h, w) of a volume; None where none are seen."""

WORKING_MM = 2.0
AIR_HU = -400.0
CLOSING_MM = 15.0  # nodules at the pleura, and vessels, lie inside
HALF = 0.5  # of a voxel lies within a mask that was interpolated


def classical_lungs(volume: Volume) -> Mask | None:
    """Air that reaches no side within its slice, in parts as large as a lung, closed.

    Slice by slice, because in a volume that is cropped to the lungs the air around the patient often joins them
    above or below.
    """
    shape = volume.array.shape
    coarse = tuple(max(1, round(n * step / WORKING_MM)) for n, step in zip(shape, volume.spacing, strict=True))
    spacing = [n * step / cells for n, step, cells in zip(shape, volume.spacing, coarse, strict=True)]
    air = air_inside(on_grid(volume.array, coarse) < AIR_HU)
    parts, _ = ndimage.label(air)
    sizes = np.bincount(parts.ravel()) * math.prod(spacing)
    sizes[0] = 0
    wanted = sizes >= SMALLEST_LUNG_MM3
    if not wanted.any():
        return None
    grown = ndimage.distance_transform_edt(~wanted[parts], spacing) <= CLOSING_MM
    closed = ndimage.distance_transform_edt(grown, spacing) > CLOSING_MM
    whole: Mask = on_grid(closed.astype(np.float32), shape) >= HALF
    return whole
