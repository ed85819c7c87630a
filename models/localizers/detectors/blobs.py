"""Blobs in the lungs: places where a sphere of soft tissue would fit, at several sizes; vessels and plates rank low.

The Laplacian of Gaussians of a ball of radius r is strongest at a scale of r / sqrt 3 (Lindeberg, Feature detection
with automatic scale selection, IJCV 30, 1998); the eigenvalues of the Hessian there tell balls from tubes and plates
(Li et al., Selective enhancement filters for nodules, vessels and airway walls, Medical Physics 30, 2003). Outside of
the lungs all is as dark as lung, so that what touches the pleura is a blob, too. Nothing is learned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.regions import Mask, bounds

WORKING_MM = 2.0  # voxels of the grid on which blobs are looked for
SCALES_MM = (1.4, 2.0, 2.9, 4.1, 5.9, 8.4)
LUNG_HU, DENSE_HU, AIR_HU = -850.0, 100.0, -1000.0
LEAST_RESPONSE = 45.0  # HU
LEAST_ROUNDNESS = 0.08
SIZE_EXPONENT = 0.4  # of the radius in the strength: a large blob of low contrast ranks before a short piece of vessel
MOST = 60
LOOKED_AT = 600  # the strongest maxima, of which those apart from each other are kept
MARGIN_MM = 12.0

_Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Blob:
    """A place in the lungs.

    Attributes
    ----------
    voxel
        (z, y, x) index into the working grid.
    radius_mm
        Of the ball that fits best.
    strength
        Response of the Laplacian in HU, times the root of the roundness, times a power of the radius.
    """

    voxel: tuple[int, int, int]
    radius_mm: float
    strength: float


def blobs_of(hu: _Array, lungs: Mask, spacing: tuple[float, float, float], most: int = MOST) -> tuple[Blob, ...]:
    """The strongest blobs of a volume (d, h, w) in a mask of the lungs, the best first, at most so many.

    The mask should hold what touches the pleura; the spacing is about `WORKING_MM` along each axis.
    """
    if not lungs.any():
        return ()
    margins = [math.ceil(MARGIN_MM / step) for step in spacing]
    parts = zip(bounds(lungs), margins, hu.shape, strict=True)
    box = tuple(slice(max(0, one.start - margin), min(size, one.stop + margin)) for one, margin, size in parts)
    inside = lungs[box]
    field = np.where(inside, np.clip(hu[box], AIR_HU, DENSE_HU), np.float32(LUNG_HU)).astype(np.float32)
    found = _separate(_maxima(field, inside, spacing), spacing)[:most]
    start = [one.start for one in box]
    return tuple(
        Blob(tuple(a + b for a, b in zip(one.voxel, start, strict=True)), one.radius_mm, one.strength) for one in found
    )


def _maxima(field: _Array, inside: Mask, spacing: tuple[float, float, float]) -> list[Blob]:
    """Where the response is largest among its neighbours in place; of each scale."""
    found, smooth, reached = list[Blob](), field, 0.0
    for scale in SCALES_MM:
        more = math.sqrt(scale**2 - reached**2)
        smooth = ndimage.gaussian_filter(smooth, [more / step for step in spacing], truncate=3.0, mode="nearest")
        reached = scale
        response = -(scale**2) * _laplacian(smooth, spacing)
        strong = inside & (response > LEAST_RESPONSE)
        voxels = np.argwhere(strong & (response == ndimage.maximum_filter(response, 3)))
        voxels = voxels[((voxels >= 1) & (voxels < np.array(field.shape) - 1)).all(axis=1)]
        rounded = _roundness(smooth, voxels, spacing)
        strength = response[tuple(voxels.T)] * np.sqrt(rounded) * scale**SIZE_EXPONENT
        found += [
            Blob((int(z), int(y), int(x)), scale * math.sqrt(3.0), float(one))
            for (z, y, x), one, part in zip(voxels, strength, rounded, strict=True)
            if part > LEAST_ROUNDNESS
        ]
    return found


def _laplacian(smooth: _Array, spacing: tuple[float, float, float]) -> _Array:
    total = np.zeros_like(smooth)
    for axis, step in enumerate(spacing):
        total += ndimage.correlate1d(smooth, np.array([1.0, -2.0, 1.0], np.float32) / step**2, axis, mode="nearest")
    return total


def _roundness(smooth: _Array, voxels: NDArray[np.intp], spacing: tuple[float, float, float]) -> NDArray[np.float64]:
    """(n,) smallest by largest of the Hessian's eigenvalues where all are negative: 1 of a ball, 0 of a tube."""
    hessian = np.zeros((len(voxels), 3, 3))
    steps = np.eye(3, dtype=np.intp)

    def at(move: NDArray[np.intp]) -> NDArray[np.float64]:
        values: NDArray[np.float64] = smooth[tuple((voxels + move).T)].astype(np.float64)
        return values

    for one in range(3):
        bend = at(steps[one]) - 2 * at(0 * steps[one]) + at(-steps[one])
        hessian[:, one, one] = bend / spacing[one] ** 2
        for other in range(one):
            both, across = steps[one] + steps[other], steps[one] - steps[other]
            mixed = at(both) + at(-both) - at(across) - at(-across)
            hessian[:, one, other] = hessian[:, other, one] = mixed / (4 * spacing[one] * spacing[other])
    values = np.linalg.eigvalsh(hessian)
    return np.where(values[:, 2] < 0, values[:, 2] / np.minimum(values[:, 0], -1e-9), 0.0)


def _separate(blobs: list[Blob], spacing: tuple[float, float, float]) -> list[Blob]:
    """The strongest first, without those whose middle lies in a stronger one or that hold a stronger one's middle."""
    kept = list[Blob]()
    for one in sorted(blobs, key=lambda blob: -blob.strength)[:LOOKED_AT]:
        if all(_apart(one, other, spacing) for other in kept):
            kept.append(one)
    return kept


def _apart(one: Blob, other: Blob, spacing: tuple[float, float, float]) -> bool:
    pairs = zip(one.voxel, other.voxel, spacing, strict=True)
    away = math.sqrt(sum(((a - b) * step) ** 2 for a, b, step in pairs))
    return away > max(one.radius_mm, other.radius_mm, 2 * max(spacing))
