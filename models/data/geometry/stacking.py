"""How slices are stacked: askew where the gantry was tilted, and the grid along the patient's axes that holds them.

Only positions decide whether a stack is askew: Gantry/Detector Tilt (0018,1120) stays in the header of series that were
corrected. Axes of arrays are (slice, row, column), places LPS mm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.data.geometry.resampling import Affine, sampled
from models.errors import DataError

Floats = NDArray[np.float64]
MOST_TILT = 45.0  # degrees; gantries tilt by 30
AIR_HU = -1024.0


def shear_of(positions: Floats, normal: Floats, tolerance: float, place: Callable[[int], str]) -> Floats:
    """How far (LPS mm) a tilted gantry moves slices in their plane for each mm along their normal; 0 where it does not.

    Parameters
    ----------
    positions
        (n, 3), of the first pixel of each slice in their order.
    normal
        Of the slices.
    tolerance
        mm by which positions may leave the normal: the larger distance of two pixels, which is no tilt.
    place
        A slice's place in words, by its number.

    Raises
    ------
    DataError
        A slice lies elsewhere, or the tilt is more than a gantry's; a clause.
    """
    way = positions - positions[0]
    along = way @ normal
    aside = way - along[:, None] * normal
    if np.linalg.norm(aside, axis=1).max() <= tolerance:
        return np.zeros(3)
    shear: Floats = along @ aside / (along @ along)
    rest = np.linalg.norm(aside - along[:, None] * shear, axis=1)
    if rest.max() > tolerance:
        raise DataError(
            f"slices are displaced in their plane by up to {rest.max():.1f} mm at {place(int(rest.argmax()))}"
        )
    angle = tilt_of(normal + shear)
    if angle > MOST_TILT:
        raise DataError(f"the slices are stacked {angle:.1f} degrees away from their normal, which no gantry tilts")
    return shear


def tilt_of(step: Floats) -> float:
    """Degrees between the slices' normal and the way (3,) from slice to slice for each mm along the normal."""
    return float(np.degrees(np.arccos(min(1.0, 1 / float(np.linalg.norm(step))))))


def axis_order(direction: Floats) -> tuple[tuple[int, int, int], tuple[slice, slice, slice]]:
    """(which array axis runs along z, y, x; slices that flip the permuted axes which run against them)."""
    along = np.asarray(direction)[:, ::-1]  # (array axis, patient's axis z, y, x)
    z, y, x = max(permutations(range(3)), key=lambda order: sum(abs(along[axis, i]) for i, axis in enumerate(order)))
    steps = (slice(None, None, -1 if along[axis, i] < 0 else 1) for i, axis in enumerate((z, y, x)))
    first, second, third = steps
    return (z, y, x), (first, second, third)


@dataclass(frozen=True, slots=True, eq=False)
class Upright:
    """The grid along the patient's own axes, slices to the head, that holds a stack which lies askew.

    Attributes
    ----------
    shape, spacing
        (z, y, x), voxels and mm.
    way
        From a voxel of the stack to one of this grid.
    origin
        (x, y, z) LPS mm, centre of the first voxel.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, float, float]
    way: Affine
    origin: tuple[float, float, float]

    @classmethod
    def of(cls, shape: Sequence[int], spacing: Sequence[float], direction: Floats, origin: Sequence[float]) -> Self:
        """Of a stack.

        `direction` is (3, 3): row i is the LPS vector that one mm along its axis i leads, row 0 askew; `spacing` in mm
        along the normal, between rows, between columns; `origin` of its first voxel.
        """
        order, _ = axis_order(direction)
        z, y, x = (spacing[axis] for axis in order)
        steps = np.array([z, y, x])
        lps = Affine((direction * np.array(spacing)[:, None]).T[::-1], np.array(origin)[::-1])
        corners = lps(np.array(list(product(*((-0.5, length - 0.5) for length in shape)))))
        low, high = corners.min(axis=0), corners.max(axis=0)
        cells = tuple(np.maximum(np.ceil((high - low) / steps - 1e-6), 1).astype(int).tolist())
        first = low + steps / 2
        way = lps.then(Affine(np.diag(1 / steps), -first / steps))
        return cls(cells, (z, y, x), way, (float(first[2]), float(first[1]), float(first[0])))

    def resampled(self, array: NDArray[Any]) -> NDArray[Any]:
        """The stack's HU on this grid, air where there is none."""
        whole = tuple(slice(0, length) for length in self.shape)
        return sampled(array, self.way.inverse(), whole, outside=AIR_HU)
