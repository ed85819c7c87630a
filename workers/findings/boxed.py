"""A mask that is kept as the box around it: of a volume of a thousand slices a whole one has 262 MB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.regions import Mask, bounds


@dataclass(frozen=True, slots=True, eq=False)
class BoxedMask:
    """A part of an image or a volume that is not empty.

    Attributes
    ----------
    inside
        The mask within its box, (rows, columns) or (slices, rows, columns).
    box
        Where the box lies, a slice an axis.
    shape
        Of the whole mask.
    """

    inside: Mask
    box: tuple[slice, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, mask: Mask, within: tuple[slice, ...] | None = None, shape: tuple[int, ...] | None = None) -> Self:
        """Of a whole mask, or of one that lies `within` a box of a whole one of a shape."""
        own = bounds(mask)
        offsets = [one.start for one in within] if within else [0] * mask.ndim
        box = tuple(slice(a.start + b, a.stop + b) for a, b in zip(own, offsets, strict=True))
        return cls(mask[own].copy(), box, shape or mask.shape)

    @property
    def size(self) -> int:
        """Pixels or voxels."""
        return int(self.inside.sum())

    @property
    def whole(self) -> Mask:
        """The mask in its full shape."""
        mask = np.zeros(self.shape, dtype=np.bool_)
        mask[self.box] = self.inside
        return mask

    @property
    def touched(self) -> range:
        """The frames (an image's: 0) that the box reaches."""
        return range(self.box[0].start, self.box[0].stop) if len(self.shape) == 3 else range(1)

    @property
    def largest_frame(self) -> int:
        """The frame on which it has most pixels; the middle one of several."""
        if len(self.shape) == 2:
            return 0
        sizes = self.inside.sum(axis=(1, 2))
        largest = np.flatnonzero(sizes == sizes.max())
        first: int = self.box[0].start
        return first + int(largest[len(largest) // 2])

    def on(self, frame: int) -> Mask:
        """(rows, columns): the mask on one frame."""
        if len(self.shape) == 2:
            return self.whole
        plane = np.zeros(self.shape[1:], dtype=np.bool_)
        if frame in self.touched:
            plane[self.box[1:]] = self.inside[frame - self.box[0].start]
        return plane

    def reaches(self, frame: int) -> bool:
        """Whether it has pixels on a frame."""
        if len(self.shape) == 2:
            return True
        return frame in self.touched and bool(self.inside[frame - self.box[0].start].any())

    @property
    def indices(self) -> NDArray[np.intp]:
        """(n, axes) of its pixels in the whole."""
        found: NDArray[np.intp] = np.argwhere(self.inside) + [one.start for one in self.box]
        return found
