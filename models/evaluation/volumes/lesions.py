"""Lesions on a volume, and how near to them a place is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.evaluation.volumes.cases import Outlined
from models.regions import bounds

ON_MM = 5.0  # a mark so near to a lesion is on it; parts of a mask that are twice as near are one lesion
NEAR_MM = 10.0

Mask = NDArray[np.bool_]
Place = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Lesions:
    """The lesions of one label on a volume, cut to the box around them.

    Attributes
    ----------
    outlined
        The whole mask.
    box
        Slices of the volume that hold the mask and `NEAR_MM` around it.
    distance
        Of each voxel in the box to the nearest voxel of the mask, mm.
    numbers
        Of the lesion that a voxel in the box is on, 1..count; 0 for none.
    count
        Lesions.
    """

    outlined: Outlined
    box: tuple[slice, ...]
    distance: NDArray[np.float32]
    numbers: NDArray[np.int32]
    count: int

    @classmethod
    def of(cls, outlined: Outlined, spacing: tuple[float, ...]) -> Lesions:
        """Of a mask that is not empty on a volume of this spacing (z, y, x) mm."""
        margins = [math.ceil(NEAR_MM / step) + 1 for step in spacing]
        box = tuple(
            slice(max(one.start - margin, 0), min(one.stop + margin, length))
            for one, margin, length in zip(bounds(outlined.mask), margins, outlined.mask.shape, strict=True)
        )
        distance = ndimage.distance_transform_edt(~outlined.mask[box], spacing).astype(np.float32)
        numbers, count = ndimage.label(distance <= ON_MM, np.ones((3, 3, 3)))
        return cls(outlined, box, distance, numbers, int(count))

    @property
    def mask(self) -> Mask:
        """The whole mask (d, h, w)."""
        return self.outlined.mask

    def away(self, at: Place) -> float:
        """Distance of a voxel to the mask in mm; infinite outside the box."""
        cell = self._cell(at)
        return math.inf if cell is None else float(self.distance[cell])

    def number(self, at: Place) -> int:
        """The lesion that a voxel is on; 0 for none."""
        cell = self._cell(at)
        return 0 if cell is None else int(self.numbers[cell])

    def slices(self) -> Mask:
        """(d,): the slices that the mask meets."""
        return np.asarray(self.mask.any(axis=(1, 2)))

    def overlapped(self, region: Mask, least: float) -> set[int]:
        """The lesions whose IoU with a region (d, h, w) is `least` or more."""
        inside = region[self.box]
        own = np.where(self.mask[self.box], self.numbers, 0)
        shared = np.bincount(own[inside], minlength=self.count + 1)
        sizes = np.bincount(own.ravel(), minlength=self.count + 1)
        total = int(region.sum())
        return {
            number
            for number in range(1, self.count + 1)
            if shared[number] >= least * (total + sizes[number] - shared[number]) and shared[number]
        }

    def _cell(self, at: Place) -> Place | None:
        inside = all(one.start <= index < one.stop for index, one in zip(at, self.box, strict=True))
        z, y, x = (index - one.start for index, one in zip(at, self.box, strict=True))
        return (z, y, x) if inside else None
