"""The working grid of a volume: coarser, smoothed, and of exactly the same box."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

AIR_HU, BONE_HU = -1024.0, 1500.0


def resampled(volume: NDArray[np.float32], spacing: tuple[float, ...], target: float) -> sitk.Image:
    """The volume on a coarser grid of about `target` mm that covers exactly the same box, smoothed against aliasing."""
    image = sitk.GetImageFromArray(np.clip(volume, AIR_HU, BONE_HU).astype(np.float32, copy=False))
    image.SetSpacing(spacing[::-1])
    smooth = image
    for axis, step in enumerate(image.GetSpacing()):
        if step < target and image.GetSize()[axis] >= 4:  # the recursive filter needs four samples
            smooth = sitk.RecursiveGaussian(smooth, 0.4 * target, direction=axis)
    size = [max(1, round(count * step / target)) for count, step in zip(image.GetSize(), spacing[::-1], strict=True)]
    return _onto(smooth, size, sitk.sitkLinear, AIR_HU)


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
