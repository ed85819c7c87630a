"""Regions against masks, pixel by pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """2 |A and B| / (|A| + |B|), 0..1; 1 where both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def hausdorff95(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float | None:
    """The larger of the two 95th percentiles of the distances from a border to the other, in pixels.

    A border is the pixels of a mask that have a neighbour outside. None where a mask is empty.
    """
    if not (one.any() and other.any()):
        return None
    from scipy import ndimage  # noqa: PLC0415

    borders = [mask & ~ndimage.binary_erosion(mask) for mask in (one, other)]
    away = [ndimage.distance_transform_edt(~border) for border in borders]
    return float(max(np.percentile(away[1][borders[0]], 95), np.percentile(away[0][borders[1]], 95)))


def hausdorff(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float | None:
    """Largest distance in pixels from a pixel of either mask to the nearest of the other; None where one is empty."""
    if not (one.any() and other.any()):
        return None
    import SimpleITK as sitk  # noqa: PLC0415 (half a second to import)

    measure = sitk.HausdorffDistanceImageFilter()
    measure.Execute(*(sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in (one, other)))
    return float(measure.GetHausdorffDistance())
