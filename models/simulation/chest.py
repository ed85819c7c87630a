"""A chest in which lesions are made: voxels, lungs, heart, noise of the scan, masks of what was made so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from models.simulation.scanner.noise import Noise

Mask = NDArray[np.bool_]
Values = NDArray[np.float32]
LUNG_AIR_HU = -1000.0


@dataclass(frozen=True, slots=True, eq=False)
class Chest:
    """One chest on one grid; axes (z to the head, y to the back, x to the patient's left).

    Attributes
    ----------
    hu
        (d, h, w) HU.
    spacing
        (z, y, x) mm.
    sides
        (d, h, w): 1 where the right, 2 where the left hemithorax inside the pleura is, else 0. What a lesion fills
        (air, fluid, consolidation) stays part of it.
    heart
        Mask, empty where it is unknown.
    noise
        Of the scan at hand; sigma 0 for a phantom, whose noise the scanner adds at the end.
    masks
        By label, what was made so far.
    """

    hu: Values
    spacing: tuple[float, float, float]
    sides: NDArray[np.uint8]
    heart: Mask
    noise: Noise
    masks: Mapping[str, Mask] = field(default_factory=dict)

    @property
    def lungs(self) -> Mask:
        """Both sides."""
        return self.sides > 0

    def with_lesion(self, hu: Values, label: str, mask: Mask) -> Chest:
        """This chest with new voxels and a mask more; two lesions of one label are one mask."""
        earlier = self.masks.get(label)
        return replace(self, hu=hu, masks={**self.masks, label: mask if earlier is None else mask | earlier})

    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(self.spacing)) / 1000.0


def box_of(mask: Mask, margin: int = 0) -> tuple[slice, slice, slice]:
    """The smallest box of a mask that is not empty, with a margin in voxels as far as the array goes."""
    slices = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        line = np.flatnonzero(mask.any(axis=others))
        slices.append(slice(max(0, line[0] - margin), min(mask.shape[axis], line[-1] + 1 + margin)))
    return slices[0], slices[1], slices[2]
