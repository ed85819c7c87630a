"""Candidates of a chest CT: blobs in its lungs, their regions, and the cubes around them that a network sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from models.anatomy.ct.grid import resampled, stretched
from models.anatomy.ct.lungs import VolumeLungs
from models.anatomy.ct.morphology import closed
from models.localizers.detectors.blobs import WORKING_MM, Blob, blobs_of
from models.localizers.detectors.growing import Region, region_of
from models.regions import Mask

CLOSING_MM = 12.0  # of the lungs: what touches the pleura lies inside


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """All candidates of a volume.

    Attributes
    ----------
    hu
        (d, h, w) of the working grid, which covers the volume.
    spacing
        (z, y, x) mm of that grid.
    lungs
        (d, h, w): where they were looked for.
    blobs
        The strongest first.
    """

    hu: NDArray[np.float32]
    spacing: tuple[float, float, float]
    lungs: Mask
    blobs: tuple[Blob, ...]

    def regions(self) -> tuple[Region, ...]:
        """The region of each."""
        return tuple(region_of(self.hu, self.lungs, blob, self.spacing) for blob in self.blobs)

    def cubes(self, side: int) -> NDArray[np.float32]:
        """(n, side, side, side) HU around each; beyond the volume its border is continued."""
        return cubes_at(self.hu, [blob.voxel for blob in self.blobs], side)


def cubes_at(hu: NDArray[np.float32], voxels: list[tuple[int, int, int]], side: int) -> NDArray[np.float32]:
    """(n, side, side, side) HU of a volume; the voxel is the first one behind each cube's middle."""
    half = side // 2
    padded = np.pad(hu, half, mode="edge")
    found = np.empty((len(voxels), side, side, side), np.float32)
    for number, (z, y, x) in enumerate(voxels):
        found[number] = padded[z : z + side, y : y + side, x : x + side]
    return found


def working_grid(volume: NDArray[np.float32], spacing: tuple[float, ...]) -> sitk.Image:
    """The grid on which candidates are looked for."""
    return resampled(volume, spacing, WORKING_MM)


def candidates_of(working: sitk.Image, lungs: VolumeLungs) -> Candidates:
    """The candidates of a volume on the working grid in these lungs."""
    hu: NDArray[np.float32] = sitk.GetArrayFromImage(working)
    x, y, z = working.GetSpacing()
    both = sitk.GetImageFromArray((stretched(lungs.both.astype(np.float32), hu.shape) >= 0.5).astype(np.uint8))
    both.SetSpacing((x, y, z))
    inside = sitk.GetArrayFromImage(closed(both, CLOSING_MM)) > 0
    return Candidates(hu, (z, y, x), inside, blobs_of(hu, inside, (z, y, x)))
