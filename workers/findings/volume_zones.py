"""The lungs in a volume: where a region lies in them, and whether a finding fills them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.findings.boxed import BoxedMask
from workers.findings.location import Location
from workers.findings.lung_zones import counted, filled, named, zone_of
from workers.inputs.volume import SourceVolume

MOST_VOXELS = 200_000  # of a region that are looked up
_COARSE = 64  # cells a side of the map in which the nearest lung is looked for


@dataclass(frozen=True, slots=True, eq=False)
class VolumeZones:
    """The zones of the lungs.

    Attributes
    ----------
    cells
        (d, h, w) over the model's grid, as `models.prediction.Prediction.zones` has them.
    volume
        The source's voxels.
    """

    cells: NDArray[np.uint8]
    volume: SourceVolume

    @property
    def of_patient(self) -> bool:
        """A volume's axes are the patient's."""
        return True

    def location(self, mask: BoxedMask) -> Location:
        """Side and zone of the lung that holds most of a region, else of the nearest one."""
        indices = mask.indices[:: 1 + mask.size // MOST_VOXELS]
        cells = self.volume.cells_of(indices, self.cells.shape)
        sides, _ = counted(self.cells[tuple(cells.T)])
        return zone_of(sides) if sides.any() else self._nearest(cells.mean(axis=0))

    def diffuse(self, inside: BoxedMask) -> str:
        """The lungs that a finding fills, a key of the table of phrases; empty where it has a focus."""
        step = 1 + inside.size // MOST_VOXELS
        cells = self.volume.cells_of(inside.indices[::step], self.cells.shape)
        found, _ = counted(self.cells[tuple(cells.T)])
        every, _ = counted(self.cells)
        in_cells = step * self.cells.size / np.prod(self.volume.array.shape)  # cells that a voxel looked up stands for
        return filled((found * in_cells).astype(np.intp), every, of_patient=True)

    def _nearest(self, centre: NDArray[np.float64]) -> Location:
        """The zone that is nearest to a region's centre, as cells count; in the middle where no lung is."""
        steps = tuple(max(length // _COARSE, 1) for length in self.cells.shape)
        coarse = self.cells[:: steps[0], :: steps[1], :: steps[2]]
        cells = np.argwhere(coarse > 0)
        if not len(cells):
            return Location("midline")
        place = cells[((cells * steps - centre) ** 2).sum(axis=1).argmin()]
        return named(int(coarse[tuple(place)]))
