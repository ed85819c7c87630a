"""Size and density of a region of a CT volume, as radiologists write them.

The two axes are those of RECIST 1.1 (Eisenhauer et al., European Journal of Cancer 45, 2009) in the axial slice in
which the region is largest: the longest diameter, and the longest one perpendicular to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from models.errors import InputError
from models.regions import Mask, bounds

_Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measures:
    """Of one region.

    Attributes
    ----------
    long_axis_mm, short_axis_mm
        In the slice `largest_slice`, of the region's convex hull there, perpendicular to each other.
    equivalent_diameter_mm
        Of the sphere of the same volume.
    mean_hu
        Of its voxels; None where the volume has no Hounsfield units.
    largest_slice
        Index of the axial slice in which the region's area is largest, the lowest where there are several.
    """

    long_axis_mm: float
    short_axis_mm: float
    equivalent_diameter_mm: float
    volume_ml: float
    mean_hu: float | None
    largest_slice: int


def measured(mask: Mask, hu: NDArray[np.floating], spacing: tuple[float, float, float]) -> Measures:
    """The measures of a region.

    Parameters
    ----------
    mask, hu
        (d, h, w), axial slices first, of one shape.
    spacing
        (z, y, x) mm.

    Raises
    ------
    InputError
        The mask is empty, or of another shape than the volume.
    """
    if mask.shape != hu.shape or mask.ndim != 3:
        raise InputError(f"The region has the shape {mask.shape}, its volume {hu.shape}: both must be one (d, h, w).")
    if not mask.any():
        raise InputError("A region without voxels has no measures.")
    box = bounds(mask)
    inside = mask[box]
    largest = int(inside.sum(axis=(1, 2)).argmax())
    long_axis, short_axis = axes_mm(inside[largest], spacing[1:])
    volume = float(inside.sum()) * math.prod(spacing)
    return Measures(
        long_axis_mm=long_axis,
        short_axis_mm=short_axis,
        equivalent_diameter_mm=(6.0 * volume / math.pi) ** (1.0 / 3.0),
        volume_ml=volume / 1000.0,
        mean_hu=float(hu[box][inside].mean(dtype=np.float64)),
        largest_slice=box[0].start + largest,
    )


def axes_mm(area: Mask, spacing: tuple[float, float]) -> tuple[float, float]:
    """Long axis of a mask (rows, columns) that is not empty, and the longest one perpendicular to it, in mm.

    Its border runs through the middles of the pixels' outer edges: a single pixel has the axes of a pixel.
    """
    corners = _border(area, spacing)
    hull = corners[ConvexHull(corners).vertices]
    between = hull[:, None] - hull[None]
    lengths = np.hypot(between[..., 0], between[..., 1])
    first, last = np.unravel_index(lengths.argmax(), lengths.shape)
    along = between[first, last] / lengths[first, last]
    return float(lengths[first, last]), _longest_chord(hull, along)


def _border(area: Mask, spacing: tuple[float, float]) -> _Points:
    """Middles (n, 2) of the four edges of each row's and each column's outermost pixels, in mm."""
    rows, columns = np.nonzero(area)
    steps = np.array([[0.5, 0.0], [-0.5, 0.0], [0.0, 0.5], [0.0, -0.5]])
    middles = (np.stack([rows, columns], axis=1)[:, None] + steps).reshape(-1, 2)
    points: _Points = middles * np.asarray(spacing, np.float64)
    return points


def _longest_chord(hull: _Points, along: NDArray[np.float64]) -> float:
    """Longest chord of a convex polygon perpendicular to a direction; it meets one of the polygon's corners."""
    place, height = hull @ along, hull @ np.array([-along[1], along[0]])
    start, end = int(place.argmin()), int(place.argmax())
    sides = (_side(place, height, start, end), _side(place, height, end, start))
    one, other = (np.interp(place, *side) for side in sides)
    return float(np.abs(one - other).max())


def _side(
    place: NDArray[np.float64], height: NDArray[np.float64], start: int, end: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The corners from one end of the polygon to the other, in rising order of their place."""
    count = (end - start) % len(place) + 1
    index = (start + np.arange(count)) % len(place)
    ordered = index if place[start] <= place[end] else index[::-1]
    return place[ordered], height[ordered]
