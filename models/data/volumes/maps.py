"""Maps of volumes on the grid of the volume that they cover."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray


def on_grid(values: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A map (d, h, w) interpolated linearly to `shape`, which covers the same extent; flat beyond the outer centres."""
    if values.shape == shape:
        return values
    image = sitk.GetImageFromArray(np.ascontiguousarray(values, np.float32))
    steps = [large / small for large, small in zip(shape[::-1], image.GetSize(), strict=True)]
    image.SetSpacing(steps)
    image.SetOrigin([(step - 1) / 2 for step in steps])
    grid = sitk.ResampleImageFilter()
    grid.SetSize(shape[::-1])
    grid.SetInterpolator(sitk.sitkLinear)
    grid.UseNearestNeighborExtrapolatorOn()
    found: NDArray[np.float32] = sitk.GetArrayFromImage(grid.Execute(image))
    return found


def in_volume(cell: tuple[float, ...], cells: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The voxel (z, y, x) of a volume of `shape` at the centre of a cell of a map of the shape `cells`."""
    z, y, x = (
        min(int((at + 0.5) * voxels / count), voxels - 1) for at, count, voxels in zip(cell, cells, shape, strict=True)
    )
    return z, y, x
