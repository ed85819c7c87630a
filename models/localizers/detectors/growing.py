"""The region of a blob: what is denser than half-way from the lung around to it, without the vessels it hangs on.

In the line of Dehmeshki et al., Segmentation of pulmonary nodules in thoracic CT scans, IEEE TMI 27 (2008).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.localizers.detectors.blobs import AIR_HU, DENSE_HU, LUNG_HU, Blob
from models.regions import Mask

REACH, MORE_MM = 1.7, 3.0  # the region ends at so many radii of the blob and so much more
AERATED_HU = -500.0
DARKEST_HU, BRIGHTEST_HU = -950.0, -650.0  # of the lung around it
CORE = 0.5  # of the radius: voxels that tell how dense the blob is
OPENED, WIDEST_MM = 0.4, 4.0  # radius of the ball that vessels are too thin for, in radii of the region

_Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Where a blob lies in the working grid.

    Attributes
    ----------
    box
        Slices z, y, x of the grid.
    part
        (d, h, w) of the box, 0..1: how far each voxel is from lung to blob; the region is where it is one half or more.
    """

    box: tuple[slice, slice, slice]
    part: NDArray[np.float32]

    @property
    def mask(self) -> Mask:
        """(d, h, w) of the box."""
        inside: Mask = self.part >= 0.5
        return inside


def region_of(hu: NDArray[np.float32], lungs: Mask, blob: Blob, spacing: _Spacing) -> Region:
    """The region of a blob of a volume (d, h, w) within the mask of the lungs; at least the blob's own voxel."""
    reach = REACH * blob.radius_mm + MORE_MM
    sides = zip(blob.voxel, spacing, hu.shape, strict=True)
    z, y, x = (
        slice(max(0, at - math.ceil(reach / step) - 1), min(size, at + math.ceil(reach / step) + 2))
        for at, step, size in sides
    )
    box = (z, y, x)
    middle = tuple(at - one.start for at, one in zip(blob.voxel, box, strict=True))
    away = _away(middle, tuple(one.stop - one.start for one in box), spacing)
    field = np.clip(hu[box], AIR_HU, DENSE_HU)
    dense, lung = _levels(field, lungs[box], away, blob.radius_mm, spacing)
    part = np.clip((field - lung) / max(dense - lung, 1.0), 0.0, 1.0)
    allowed = lungs[box] & (away <= reach)
    part[middle] = max(float(part[middle]), 0.5)
    inside = _whole((part >= 0.5) & allowed | (away == 0), middle, spacing)
    near = ndimage.binary_dilation(inside)
    below = np.nextafter(np.float32(0.5), np.float32(0.0))
    outside = np.where(near, np.minimum(part, below), 0.0)
    return Region(box, np.where(inside, np.maximum(part, 0.5), outside).astype(np.float32))


def _away(middle: tuple[int, ...], shape: tuple[int, ...], spacing: _Spacing) -> NDArray[np.float64]:
    parts = zip(np.indices(shape, sparse=True), middle, spacing, strict=True)
    squares = [((index - at) * step) ** 2 for index, at, step in parts]
    found: NDArray[np.float64] = np.sqrt(sum(squares))
    return found


def _levels(
    field: NDArray[np.float32], lungs: Mask, away: NDArray[np.float64], radius: float, spacing: _Spacing
) -> tuple[float, float]:
    """HU of the blob and of the aerated lung around it."""
    core = field[away <= max(CORE * radius, *spacing)]
    dense = float(np.quantile(core, 0.8))
    around = field[lungs & (away > radius + min(spacing)) & (field < AERATED_HU)]
    lung = float(np.median(around)) if len(around) > 10 else LUNG_HU
    return dense, min(max(lung, DARKEST_HU), BRIGHTEST_HU)


def _whole(inside: Mask, middle: tuple[int, ...], spacing: _Spacing) -> Mask:
    """The part of a mask that holds the middle; what hangs on it by thin bridges is cut off."""
    part = _holding(inside, middle)
    volume = float(part.sum()) * math.prod(spacing)
    radius = min(OPENED * (3.0 * volume / (4.0 * math.pi)) ** (1.0 / 3.0), WIDEST_MM)
    if radius < 0.75 * max(spacing):
        return part
    padded = np.pad(part, 1)
    depth = ndimage.distance_transform_edt(padded, spacing)[1:-1, 1:-1, 1:-1]
    cores = depth > radius
    if not cores.any():
        return part
    opened = part & (ndimage.distance_transform_edt(~cores, spacing) <= radius + 0.5 * max(spacing))
    return _holding(opened, middle)


def _holding(mask: Mask, middle: tuple[int, ...]) -> Mask:
    """The connected part with the voxel `middle`, else the one nearest to it."""
    parts, count = ndimage.label(mask)
    if not count:
        return mask
    number = parts[middle]
    if not number:
        voxels = np.argwhere(mask)
        nearest = voxels[((voxels - np.array(middle)) ** 2).sum(axis=1).argmin()]
        number = parts[tuple(nearest)]
    found: Mask = parts == number
    return found
