"""The working grid of a volume: coarser, smoothed, and of exactly the same box."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

AIR_HU, BONE_HU = -1024.0, 1500.0
SLAB = 32  # slices in memory at once
Limits = tuple[float, float]


def resampled(
    volume: NDArray[np.float32],
    spacing: tuple[float, ...],
    target: float | tuple[float, float, float],
    limits: Limits = (AIR_HU, BONE_HU),
) -> sitk.Image:
    """The volume on a grid of about `target` mm, (z, y, x) or one for all, that covers exactly the same box.

    Values are cut off at the limits, and smoothed against aliasing where the grid is coarser.
    """
    z, y, x = (target,) * 3 if isinstance(target, int | float) else target
    lengths = zip(volume.shape, spacing, (z, y, x), strict=True)
    size = [max(1, round(count * step / wanted)) for count, step, wanted in lengths][::-1]
    starts = range(0, len(volume), SLAB)
    slabs = [_coarse_slices(volume[one : one + SLAB], spacing, (x, y), size, limits) for one in starts]
    image = sitk.GetImageFromArray(np.concatenate([sitk.GetArrayViewFromImage(one) for one in slabs]))
    image.SetSpacing(slabs[0].GetSpacing())
    image.SetOrigin(slabs[0].GetOrigin())
    return _onto(_smoothed(image, 2, z), size, sitk.sitkLinear, limits[0])


def _coarse_slices(
    slab: NDArray[np.float32], spacing: tuple[float, ...], target: tuple[float, float], size: list[int], limits: Limits
) -> sitk.Image:  # fmt: skip
    """A few slices, smoothed and resampled within their planes: memory does not grow with the number of slices."""
    image = sitk.GetImageFromArray(np.clip(slab.astype(np.float32, copy=False), *limits))
    image.SetSpacing(spacing[::-1])
    for axis in (0, 1):
        image = _smoothed(image, axis, target[axis])
    return _onto(image, [*size[:2], len(slab)], sitk.sitkLinear, limits[0])


def _smoothed(image: sitk.Image, axis: int, target: float) -> sitk.Image:
    if image.GetSpacing()[axis] >= target or image.GetSize()[axis] < 4:  # the recursive filter needs four samples
        return image
    return sitk.RecursiveGaussian(image, 0.4 * target, direction=axis)


def stretched(map_: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A map (d, h, w) on the grid of another shape that covers the same box, between cells linearly."""
    found = _onto(sitk.GetImageFromArray(map_), list(shape[::-1]), sitk.sitkLinear, 0.0)
    stretched_: NDArray[np.float32] = sitk.GetArrayFromImage(found)
    return stretched_


def numbers_stretched(numbers: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The same of numbers, whose nearest cell counts."""
    found = _onto(sitk.GetImageFromArray(numbers), list(shape[::-1]), sitk.sitkNearestNeighbor, 0.0)
    stretched_: NDArray[np.uint8] = sitk.GetArrayFromImage(found)
    return stretched_


def _onto(image: sitk.Image, size: list[int], interpolator: int, outside: float) -> sitk.Image:
    """The image on a grid of `size` cells over the same box; its border cells go on where the grid reaches further."""
    old = image.GetSpacing()
    steps = [n * step / m for n, step, m in zip(image.GetSize(), old, size, strict=True)]
    origin = [start + (new - step) / 2 for start, new, step in zip(image.GetOrigin(), steps, old, strict=True)]
    grid = sitk.Transform(), interpolator, origin, steps, image.GetDirection(), outside, image.GetPixelID(), True
    return sitk.Resample(image, size, *grid)
