"""A map on one grid of voxels, sampled at the voxels of another: linear, voxel centres at whole numbers.

Both grids are indices; an affine map leads from one to the other. ITK does it, a few slices at a time, so that beside
the result there is no second array of its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Box = tuple[slice, ...]
AT_ONCE = 64  # slices


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """index_of_the_other = matrix @ index + offset; axes in the arrays' order (slice, row, column)."""

    matrix: Floats  # (3, 3)
    offset: Floats  # (3,)

    def __call__(self, index: Floats) -> Floats:
        """Of indices (..., 3)."""
        found: Floats = index @ self.matrix.T + self.offset
        return found

    def then(self, other: Affine) -> Affine:
        """Both, this one first."""
        return Affine(other.matrix @ self.matrix, other.matrix @ self.offset + other.offset)

    def inverse(self) -> Affine:
        """The way back."""
        back: Floats = np.linalg.inv(self.matrix).astype(np.float64)
        return Affine(back, -back @ self.offset)

    @classmethod
    def between(cls, shape: Sequence[int], other: Sequence[int]) -> Self:
        """From voxels to those of a grid of another shape that covers the same extent."""
        scale: Floats = np.array([b / a for a, b in zip(shape, other, strict=True)], np.float64)
        offset: Floats = 0.5 * scale - 0.5
        matrix: Floats = np.diag(scale).astype(np.float64)
        return cls(matrix, offset)


def sampled(values: NDArray[Any], way: Affine, box: Box, outside: float | None = None) -> NDArray[Any]:
    """The values at the voxels of a box; floats are float32, whole numbers keep their type (rounded).

    Parameters
    ----------
    values
        (d, h, w).
    way
        From voxels of the box's grid to voxels of `values`.
    outside
        The value beyond the outer faces of the voxels; None: the nearest one's.
    """
    kept = values.dtype if values.dtype.kind in "iu" else np.dtype(np.float32)
    image = sitk.GetImageFromArray(np.ascontiguousarray(values, dtype=kept))
    out = np.empty(tuple(one.stop - one.start for one in box), dtype=kept)
    for begin in range(0, len(out), AT_ONCE):
        part = out[begin : begin + AT_ONCE]
        first = np.array([box[0].start + begin, box[1].start, box[2].start], np.float64)
        part[...] = _resampled(image, Affine(way.matrix, way(first)), part.shape, outside)
    return out


def box_in(way: Affine, box: Box, shape: Sequence[int]) -> Box | None:
    """The voxels of a grid of this shape that can lie in a box of another, to whose indices `way` leads from it.

    None where there are none.
    """
    corners = np.array(list(product(*((one.start - 0.5, one.stop - 0.5) for one in box))))
    found = way.inverse()(corners)
    low = np.maximum(np.floor(found.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(found.max(axis=0)).astype(int) + 1, shape)
    return tuple(map(slice, low.tolist(), high.tolist())) if (high > low).all() else None


def _resampled(image: sitk.Image, way: Affine, shape: Sequence[int], outside: float | None) -> NDArray[Any]:
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(way.matrix[::-1, ::-1].ravel().tolist())
    transform.SetTranslation(way.offset[::-1].tolist())
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(length) for length in shape[::-1]])
    resampler.SetTransform(transform)
    resampler.SetInterpolator(sitk.sitkLinear)
    if outside is None:
        resampler.SetUseNearestNeighborExtrapolator(True)
    else:
        resampler.SetDefaultPixelValue(outside)
    found: NDArray[Any] = sitk.GetArrayFromImage(resampler.Execute(image))
    return found
