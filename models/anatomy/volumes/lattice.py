"""The grid that networks see: it covers a volume exactly, a crop of it is taken, and maps of the crop are put back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Counts = tuple[int, int, int]
Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""(first, last) edge in mm from the first edge of the volume, for z, y, x."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """Voxels that cover a volume exactly.

    Attributes
    ----------
    shape
        (z, y, x); a multiple of `share`.
    steps
        (z, y, x) mm.
    share
        Voxels (z, y, x) that one cell of a map of the whole volume covers.
    """

    shape: Counts
    steps: tuple[float, float, float]
    share: Counts

    @classmethod
    def over(
        cls, shape: tuple[int, ...], spacing: tuple[float, ...], target: tuple[float, ...], share: Counts
    ) -> Lattice:
        """The lattice over a volume (z, y, x) whose steps are nearest to `target` mm."""
        extents = [count * step for count, step in zip(shape, spacing, strict=True)]
        parts = zip(extents, target, share, strict=True)
        z, y, x = (part * max(1, round(extent / (step * part))) for extent, step, part in parts)
        return cls((z, y, x), (extents[0] / z, extents[1] / y, extents[2] / x), share)


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a lattice that whole cells of a network's maps cover; it may reach beyond the volume.

    Attributes
    ----------
    start
        (z, y, x) of its first voxel; a multiple of the lattice's `share`.
    shape
        (z, y, x) voxels; a multiple of `cell`.
    cell
        Voxels (z, y, x) that a cell of the network's maps covers; a multiple of the lattice's `share`.
    """

    lattice: Lattice
    start: Counts
    shape: Counts
    cell: Counts

    @classmethod
    def around(cls, lattice: Lattice, box: Box, cell: Counts) -> Crop:
        """The smallest crop that holds the box, which lies in its middle as far as `share` allows."""
        spans = [
            _span(*edges, step, share, size)
            for edges, step, share, size in zip(box, lattice.steps, lattice.share, cell, strict=True)
        ]
        (z, depth), (y, height), (x, width) = spans
        return cls(lattice, (z, y, x), (depth, height, width), cell)

    def put(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps (L, d, h, w) of the crop on a grid (L, …) that covers the whole volume, 0 outside the crop.

        Interpolated linearly; the mean over the crop stays as it is.
        """
        sizes = [count // share for count, share in zip(self.shape, self.lattice.share, strict=True)]
        found = functional.interpolate(torch.from_numpy(maps)[None], sizes, mode="trilinear")[0].numpy()
        counts = [count // share for count, share in zip(self.lattice.shape, self.lattice.share, strict=True)]
        whole = np.zeros((len(maps), *counts), np.float32)
        starts = [start // share for start, share in zip(self.start, self.lattice.share, strict=True)]
        inside = [
            slice(max(0, start), min(count, start + size))
            for start, size, count in zip(starts, sizes, counts, strict=True)
        ]
        taken = [slice(one.start - start, one.stop - start) for one, start in zip(inside, starts, strict=True)]
        whole[(slice(None), *inside)] = found[(slice(None), *taken)]
        return whole


def _span(low: float, high: float, step: float, share: int, cell: int) -> tuple[int, int]:
    """First voxel and number of voxels of a crop along one axis."""
    start = math.floor(low / step / share + 1e-6) * share
    needed = high / step - start
    size = max(1, math.ceil(needed / cell - 1e-6)) * cell
    return start - int((size - needed) / 2 / share) * share, size
