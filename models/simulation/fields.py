"""Smooth random fields and distances, in mm."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

Spacing = tuple[float, float, float]
SEAM_HU = -150.0


def smooth_field(
    rng: np.random.Generator, shape: tuple[int, ...], spacing: Spacing, length_mm: float
) -> NDArray[np.float32]:
    """A Gaussian random field (d, h, w) of standard deviation 1, with structures of about `length_mm`.

    It is drawn on a grid of half that length and interpolated: smooth, and quick for long lengths.
    """
    step = max(length_mm / 2.0, min(spacing))
    counts = [int(np.ceil(n * s / step)) + 4 for n, s in zip(shape, spacing, strict=True)]
    coarse: NDArray[np.float32] = ndimage.gaussian_filter(
        rng.standard_normal(counts, dtype=np.float32), 0.9, mode="wrap"
    )
    coarse /= max(float(coarse.std()), 1e-6)
    axes = [np.arange(n, dtype=np.float32) * (s / step) + 1.5 for n, s in zip(shape, spacing, strict=True)]
    for axis, where in enumerate(axes):
        coarse = _along(coarse, where, axis)
    return coarse


def _along(values: NDArray[np.float32], where: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Linear interpolation along one axis at positions in voxels."""
    low = np.clip(np.floor(where).astype(np.int64), 0, values.shape[axis] - 2)
    share = (where - low).astype(np.float32)
    share = share.reshape([-1 if one == axis else 1 for one in range(values.ndim)])
    near, far = np.take(values, low, axis), np.take(values, low + 1, axis)
    blended: NDArray[np.float32] = near + (far - near) * share
    return blended


def distance_inside(mask: NDArray[np.bool_], spacing: Spacing) -> NDArray[np.float32]:
    """Signed distance to the border of a mask in mm, positive inside."""
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(spacing[::-1])
    found = sitk.SignedMaurerDistanceMap(image, insideIsPositive=True, squaredDistance=False, useImageSpacing=True)
    distance: NDArray[np.float32] = sitk.GetArrayFromImage(found)
    return distance


def grid_mm(shape: tuple[int, ...], spacing: Spacing) -> tuple[NDArray[np.float32], ...]:
    """Coordinates (z, y, x) in mm from the first voxel, each shaped to broadcast."""
    lines = []
    for axis in range(3):
        line = np.arange(shape[axis], dtype=np.float32) * spacing[axis]
        lines.append(line.reshape([-1 if one == axis else 1 for one in range(3)]))
    return tuple(lines)


def smoothstep(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """0 below `low`, 1 above `high`, a smooth step between."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    step: NDArray[np.float32] = (t * t * (3.0 - 2.0 * t)).astype(np.float32)
    return step


def sealed(hu: NDArray[np.float32], region: NDArray[np.bool_], value: NDArray[np.float32]) -> NDArray[np.float32]:
    """Voxels beside a region that lung had in part (-150 HU or less) take its value: else a dark seam would stay."""
    beside = ndimage.binary_dilation(region, iterations=2) & ~region
    filled: NDArray[np.float32] = np.where(beside & (hu < SEAM_HU), value, hu).astype(np.float32)
    return filled
