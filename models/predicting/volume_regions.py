"""Regions of a map on a volume, as the node makes them, and how large they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.anatomy.ct.thorax import possible
from models.card import Label
from models.data.volumes.maps import on_grid
from models.data.volumes.volume import Volume
from models.regions import MOST_REGIONS, Mask, bounds, components

MM3_PER_ML = 1000.0


@dataclass(frozen=True, slots=True, eq=False)
class VolumeRegion:
    """A connected part of a volume's voxels.

    Attributes
    ----------
    mask
        (d, h, w) of the volume.
    score
        The largest raw saliency inside.
    peak
        A voxel (z, y, x) where that is, the nearest to the middle of several.
    """

    mask: Mask
    score: float
    peak: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a region lies and how large it is.

    Attributes
    ----------
    first, stop
        (x, y, z): its first voxel, and the one after its last.
    centroid
        LPS mm.
    long_axis_mm
        The longest diameter within one axial slice (as in RECIST), from edge to edge of its voxels.
    """

    first: tuple[int, int, int]
    stop: tuple[int, int, int]
    centroid: tuple[float, float, float]
    volume_ml: float
    long_axis_mm: float
    mean_hu: float


def volume_regions(
    saliency: NDArray[np.float32], volume: Volume, label: Label, most: int = MOST_REGIONS
) -> tuple[VolumeRegion, ...]:
    """Regions of one label's map (d, h, w), of any grid over the volume, in the thorax alone; the best first."""
    whole = on_grid(saliency, volume.array.shape)
    reached = whole >= label.region_threshold(float(saliency.max()))
    if not reached.any():
        return ()
    box = bounds(reached)
    inside = np.zeros_like(reached)
    inside[box] = reached[box] & possible(volume.array, box, volume.spacing, label.territory)
    smallest = label.smallest_region_mm3 / math.prod(volume.spacing)
    return tuple(_region(mask, whole) for mask in components(inside, None, whole, smallest, most, label.region))


def _region(mask: Mask, saliency: NDArray[np.float32]) -> VolumeRegion:
    box = bounds(mask)
    values = np.where(mask[box], saliency[box], -np.inf)
    cells = np.argwhere(values == values.max())
    at = cells[int(((cells - cells.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    z, y, x = (int(one) + part.start for one, part in zip(at, box, strict=True))
    return VolumeRegion(mask, float(values.max()), (z, y, x))


def extent(mask: Mask, volume: Volume) -> Extent:
    """Of a mask (d, h, w) of the volume that is not empty."""
    z, y, x = bounds(mask)
    inside = mask[z, y, x]
    middle = np.argwhere(inside).mean(axis=0)[::-1] + np.array([x.start, y.start, z.start])
    centroid = volume.image(np.broadcast_to(np.uint8(0), mask.shape)).TransformContinuousIndexToPhysicalPoint(
        middle.tolist()
    )
    return Extent(
        first=(x.start, y.start, z.start),
        stop=(x.stop, y.stop, z.stop),
        centroid=(float(centroid[0]), float(centroid[1]), float(centroid[2])),
        volume_ml=float(inside.sum()) * math.prod(volume.spacing) / MM3_PER_ML,
        long_axis_mm=max(_diameter(plane, volume.spacing[1:]) for plane in inside if plane.any()),
        mean_hu=float(volume.array[z, y, x][inside].mean(dtype=np.float64)),
    )


def _diameter(plane: Mask, spacing: tuple[float, ...]) -> float:
    """The largest distance of two corners of a plane's pixels in mm."""
    rows = np.flatnonzero(plane.any(axis=1))
    first = plane[rows].argmax(axis=1)
    last = plane.shape[1] - plane[rows, ::-1].argmax(axis=1)
    ends = np.concatenate([np.stack([rows + down, at], 1) for down in (0, 1) for at in (first, last)])
    corners = np.unique(ends, axis=0) * np.asarray(spacing)
    apart = ((corners[:, None] - corners[None]) ** 2).sum(axis=-1)
    return float(np.sqrt(apart.max()))
