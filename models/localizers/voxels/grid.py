"""A volume on the grid that a network sees, and the network's window in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from models.anatomy.ct.grid import resampled
from models.card import Network, Voxels
from models.errors import InputError

MOST_VALUES = 1 << 29  # of all channels of a grid, or of all its maps: 2 GiB of float32
RANGE = (-32768.0, 32767.0)  # of the numbers of MR and CT
Box = tuple[slice, slice, slice]


def working(
    volume: NDArray[np.float32], spacing: tuple[float, ...], table: Voxels, channels: int, maps: int
) -> NDArray[np.float32]:
    """(c, d, h, w): the volume at the table's spacing, each channel scaled to 0..1; c is 1 where all are alike.

    Raises
    ------
    InputError
        It would not fit in memory.
    """
    lengths = zip(volume.shape, spacing, table.spacing_mm, strict=True)
    voxels = float(np.prod([max(1, round(count * step / target)) for count, step, target in lengths]))
    if voxels * max(channels, maps) > MOST_VALUES:
        raise InputError(
            f"The volume has {voxels:.3g} voxels of {table.spacing_mm} mm, too many for {max(channels, maps)} maps of"
            " them: the model's spacing is made for smaller ones."
        )
    grid = sitk.GetArrayFromImage(resampled(volume, spacing, table.spacing_mm, RANGE))
    if table.percentiles is not None:
        low, high = (float(one) for one in np.percentile(grid, table.percentiles))
        return _scaled(grid, low, high - low)[None]
    return np.stack([_scaled(grid, centre - width / 2, width) for centre, width in table.windows])


def _scaled(grid: NDArray[np.float32], low: float, width: float) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.clip((grid - low) / (width or 1.0), 0.0, 1.0).astype(np.float32)
    return found


@dataclass(frozen=True, slots=True)
class Window:
    """The network's input in the middle of a grid: what of the grid it holds, and where in it that begins."""

    box: Box
    margins: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

    @classmethod
    def in_the_middle(cls, grid: tuple[int, ...], size: tuple[int, int, int]) -> Window:
        """Of a grid (d, h, w): cut where it is larger than the input, its border repeated where it is smaller."""
        starts = [max((length - wanted) // 2, 0) for length, wanted in zip(grid, size, strict=True)]
        z, y, x = (slice(start, start + min(*pair)) for start, *pair in zip(starts, grid, size, strict=True))
        lacking = [max(wanted - length, 0) for length, wanted in zip(grid, size, strict=True)]
        d, h, w = ((one // 2, one - one // 2) for one in lacking)
        return cls((z, y, x), (d, h, w))

    def cut(self, grid: NDArray[np.float32]) -> NDArray[np.float32]:
        """The input (c, *size) of a grid (c, d, h, w)."""
        return np.pad(grid[:, *self.box], ((0, 0), *self.margins), mode="edge")

    def put(self, maps: NDArray[np.float32], grid: tuple[int, ...]) -> NDArray[np.float32]:
        """Maps (L, a, b, c) that cover the input as maps (L, d, h, w) of the grid; 0 outside."""
        size = tuple(one.stop - one.start + sum(pair) for one, pair in zip(self.box, self.margins, strict=True))
        found = np.zeros((len(maps), *grid), np.float32)
        for own, part in zip(found, maps, strict=True):
            whole = _stretched(part, size)
            inner = tuple(
                slice(before, before + one.stop - one.start)
                for (before, _), one in zip(self.margins, self.box, strict=True)
            )
            own[self.box] = whole[inner]
        return found

    def remark(self, grid: tuple[int, ...]) -> tuple[str, ...]:
        """What of the volume the network does not see, as a clause."""
        seen = np.prod([one.stop - one.start for one in self.box]) / np.prod(grid)
        return () if seen == 1 else (f"only the middle {100 * seen:.0f} % of the volume was seen",)


def _stretched(part: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    from models.anatomy.ct.grid import stretched

    return part if part.shape == size else stretched(part, size)


def as_input(grid: NDArray[np.float32], network: Network) -> NDArray[np.float32]:
    """(channels, d, h, w) of a scaled grid (c, d, h, w), as the network was trained."""
    scaled = (grid - network.mean) / network.std
    return np.broadcast_to(scaled, (network.channels, *scaled.shape[1:])).astype(np.float32)
