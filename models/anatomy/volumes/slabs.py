"""Volumes resampled by SimpleITK a few slices at a time, so that memory does not grow with the number of slices."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from models.anatomy.volumes.lattice import Crop

LOWEST_HU, HIGHEST_HU = -1024.0, 1500.0
SLAB = 32  # slices in memory at once
REACH = 4.0  # mm beyond a crop that smoothing and interpolation see
SMOOTHING = 0.4  # deviation of the Gaussian by the resolution


def shrunk(volume: NDArray[np.float32], spacing: tuple[float, ...], target: float) -> sitk.Image:
    """Means of blocks of voxels with sides of about `target` mm; what fills no block at the end is left out."""
    factors = [min(count, max(1, round(target / step))) for count, step in zip(volume.shape, spacing, strict=True)]
    some = max(factors[0], SLAB // factors[0] * factors[0])
    whole = volume.shape[0] // factors[0] * factors[0]
    slabs = (volume[start : min(start + some, whole)] for start in range(0, whole, some))
    parts = [sitk.GetArrayFromImage(sitk.BinShrink(_image(one, spacing), factors[::-1])) for one in slabs]
    image = sitk.GetImageFromArray(np.concatenate(parts))
    image.SetSpacing([step * factor for step, factor in zip(spacing[::-1], factors[::-1], strict=True)])
    return image


def taken(
    volume: NDArray[np.float32], spacing: tuple[float, ...], crop: Crop, resolution: float
) -> NDArray[np.float32]:
    """The HU of a crop (z, y, x), free of detail finer than `resolution` mm; beyond the volume its border goes on."""
    edges = zip(crop.start, crop.shape, crop.lattice.steps, spacing, volume.shape, strict=True)
    z, y, x = (_needed(start * step, (start + count) * step, *rest) for start, count, step, *rest in edges)
    slices = np.concatenate(list(_in_plane(volume[z, y, x], spacing, (y.start, x.start), crop, resolution)))
    image = sitk.GetImageFromArray(slices)
    image.SetSpacing((1.0, 1.0, spacing[0]))
    image.SetOrigin((0.0, 0.0, (z.start + 0.5) * spacing[0]))
    smooth = _smoothed(image, (2,), resolution)
    step = crop.lattice.steps[0]
    origin = (0.0, 0.0, (crop.start[0] + 0.5) * step)
    size = (image.GetWidth(), image.GetHeight(), crop.shape[0])
    found: NDArray[np.float32] = sitk.GetArrayFromImage(_resampled(smooth, size, origin, (1.0, 1.0, step)))
    return found


def _in_plane(
    part: NDArray[np.float32], spacing: tuple[float, ...], first: tuple[int, int], crop: Crop, resolution: float
) -> Iterator[NDArray[np.float32]]:
    """Slabs of a part of the volume, resampled within their slices; `first` row and column of the part."""
    steps = crop.lattice.steps
    origin = (crop.start[2] + 0.5) * steps[2], (crop.start[1] + 0.5) * steps[1], 0.0
    for start in range(0, len(part), SLAB):
        image = _image(part[start : start + SLAB], spacing)
        image.SetOrigin(((first[1] + 0.5) * spacing[2], (first[0] + 0.5) * spacing[1], 0.0))
        size = (crop.shape[2], crop.shape[1], image.GetDepth())
        grid = size, origin, (steps[2], steps[1], spacing[0])
        yield sitk.GetArrayFromImage(_resampled(_smoothed(image, (0, 1), resolution), *grid))


def _needed(low: float, high: float, spacing: float, count: int) -> slice:
    """Voxels of the volume along one axis that a crop between these edges in mm needs; at least one."""
    start = min(max(0, math.floor((low - REACH) / spacing)), count - 1)
    return slice(start, max(start + 1, min(count, math.ceil((high + REACH) / spacing))))


def _image(array: NDArray[np.float32], spacing: tuple[float, ...]) -> sitk.Image:
    image = sitk.GetImageFromArray(np.clip(array, LOWEST_HU, HIGHEST_HU).astype(np.float32, copy=False))
    image.SetSpacing(spacing[::-1])
    return image


def _smoothed(image: sitk.Image, axes: tuple[int, ...], resolution: float) -> sitk.Image:
    for axis in axes:
        if image.GetSpacing()[axis] < resolution and image.GetSize()[axis] >= 4:  # the filter needs four samples
            image = sitk.RecursiveGaussian(image, SMOOTHING * resolution, direction=axis)
    return image


def _resampled(
    image: sitk.Image, size: tuple[int, int, int], origin: tuple[float, ...], steps: tuple[float, ...]
) -> sitk.Image:
    grid = sitk.Transform(), sitk.sitkLinear, origin, steps, image.GetDirection(), LOWEST_HU, sitk.sitkFloat32
    return sitk.Resample(image, size, *grid, True)  # the border goes on where the volume has ended
