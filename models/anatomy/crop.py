"""The thorax as a network sees it: a square around both lungs, its intensities stretched, and the way back.

Positions are in parts of an input (rows, columns) that holds the image; 0 and 1 are its borders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.regions import bounds

if TYPE_CHECKING:
    from torch import Tensor

    from models.anatomy.lungs import Lungs

MARGIN = 1.12  # side of the square by the longer side of the lungs' box
LOWER = 0.02  # part of the side by which the square's centre lies below that of the lungs
DARKEST, BRIGHTEST = 1.0, 99.0  # percentiles that become black and white
FLATTEST = 8 / 255  # a smaller range of intensities than this is not stretched to the whole


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of an input of square shape: its centre (x, y) and its side, in parts of the input's side."""

    x: float
    y: float
    side: float

    @classmethod
    def of(cls, lungs: Lungs) -> Crop:
        """The square around both lungs; the whole input where none are seen."""
        both = lungs.both
        if not both.any():
            return cls(0.5, 0.5, 1.0)
        (rows, columns), (down, across) = bounds(both), both.shape
        top, bottom, left, right = rows.start / down, rows.stop / down, columns.start / across, columns.stop / across
        side = MARGIN * max(bottom - top, right - left)
        return cls((left + right) / 2, (top + bottom) / 2 + LOWER * side, side)

    def take(self, image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        """The square of an image (rows, columns) of 0..1 as (size, size), stretched to 0..1, black around it."""
        from torch.nn import functional  # noqa: PLC0415 (torch)

        sampled = functional.avg_pool2d(_sampled(image, self._grid(2 * size)), 2)[0, 0].numpy()
        inside = _sampled(np.ones_like(image), self._grid(size))[0, 0].numpy() > 0.5
        low, high = np.percentile(sampled[inside], [DARKEST, BRIGHTEST])
        stretched = np.clip((sampled - low) / max(high - low, FLATTEST), 0.0, 1.0)
        found: NDArray[np.float32] = np.where(inside, stretched, 0.0).astype(np.float32)
        return found

    def cover(self, mask: NDArray[np.bool_], size: int) -> NDArray[np.float32]:
        """The part (size, size), 0..1, of each cell of the square that a mask (rows, columns) of the input covers."""
        from torch.nn import functional  # noqa: PLC0415

        covered = functional.avg_pool2d(_sampled(mask.astype(np.float32), self._grid(4 * size)), 4)
        found: NDArray[np.float32] = covered[0, 0].numpy()
        return found

    def put(self, maps: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        """Maps (L, h, w) of the square as maps (L, size, size) of the whole input, linear between cells, 0 outside."""
        import torch  # noqa: PLC0415
        from torch.nn import functional  # noqa: PLC0415

        scale, right, down = 1 / self.side, (1 - 2 * self.x) / self.side, (1 - 2 * self.y) / self.side
        theta = torch.tensor([[[scale, 0, right], [0, scale, down]]], dtype=torch.float32)
        grid = functional.affine_grid(theta, [1, 1, size, size], align_corners=False)
        found = functional.grid_sample(torch.from_numpy(maps)[None], grid, align_corners=False, padding_mode="border")
        outside = (grid.abs() > 1).any(dim=3)[0]
        placed: NDArray[np.float32] = found[0].masked_fill(outside, 0.0).numpy()
        return placed

    def _grid(self, size: int) -> Tensor:
        import torch  # noqa: PLC0415
        from torch.nn import functional  # noqa: PLC0415

        theta = torch.tensor([[[self.side, 0, 2 * self.x - 1], [0, self.side, 2 * self.y - 1]]], dtype=torch.float32)
        return functional.affine_grid(theta, [1, 1, size, size], align_corners=False)


def _sampled(image: NDArray[np.float32], grid: Tensor) -> Tensor:
    import torch  # noqa: PLC0415
    from torch.nn import functional  # noqa: PLC0415

    whole = torch.from_numpy(np.ascontiguousarray(image, np.float32))[None, None]
    return functional.grid_sample(whole, grid, align_corners=False)
