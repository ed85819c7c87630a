"""A volume as slices of a scanner: any plane, tilted gantry, native resolution.

A tilted gantry turns each slice about the patient's left-right axis while the table still moves along z: slices are
parallel but shifted against each other, which no orthogonal grid of voxels has. So each slice is sampled by itself and
carries its own position, as DICOM writes it (Image Position and Orientation (Patient), PS3.3 C.7.6.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.data.volumes.volume import Volume

OUTSIDE_HU = -1024.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How slices lie.

    Attributes
    ----------
    rows, columns, plane_mm
        Of a slice.
    count, step_mm, thickness_mm
        Slices, how far the table moves between two, and what each averages along its normal.
    tilt
        Of the gantry, degrees about the x axis.
    turn
        Of the whole stack, degrees about z, then y: an oblique series, whose table moves along its own normal.
    """

    count: int
    step_mm: float
    rows: int = 512
    columns: int = 512
    plane_mm: float = 0.7
    thickness_mm: float = 0.0
    tilt: float = 0.0
    turn: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """Values (n, rows, columns); positions (n, 3) of each first voxel's centre; cosines along rows and columns, LPS."""

    values: NDArray[np.float32]
    positions: NDArray[np.float64]
    row_cosines: NDArray[np.float64]
    column_cosines: NDArray[np.float64]
    plane_mm: float


def sliced(volume: Volume, plan: Plan, order: int = 1) -> Slices:
    """Slices centred on a volume whose axes are the patient's; `order` 0 for masks, whose values are 0 and 1."""
    row, column, move = _axes(plan)
    middle = np.asarray(volume.origin) + 0.5 * np.asarray(volume.spacing[::-1]) * (
        np.asarray(volume.array.shape[::-1]) - 1
    )
    first = middle - 0.5 * plan.plane_mm * (row * (plan.columns - 1) + column * (plan.rows - 1))
    offsets = (np.arange(plan.count) - 0.5 * (plan.count - 1)) * plan.step_mm
    positions = first + offsets[:, None] * move
    values = np.stack([_one(volume, plan, corner, (row, column), order) for corner in positions])
    return Slices(values, positions, row, column, plan.plane_mm)


def _axes(plan: Plan) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors (x, y, z) along a row, along a column, and of the table."""
    about_z, about_y, tilt = (np.radians(angle) for angle in (*plan.turn, plan.tilt))
    z_turn = np.array([[np.cos(about_z), -np.sin(about_z), 0], [np.sin(about_z), np.cos(about_z), 0], [0, 0, 1]])
    y_turn = np.array([[np.cos(about_y), 0, np.sin(about_y)], [0, 1, 0], [-np.sin(about_y), 0, np.cos(about_y)]])
    turn = y_turn @ z_turn
    return turn @ [1.0, 0.0, 0.0], turn @ [0.0, np.cos(tilt), np.sin(tilt)], turn @ [0.0, 0.0, 1.0]


def _one(
    volume: Volume,
    plan: Plan,
    corner: NDArray[np.float64],
    cosines: tuple[NDArray[np.float64], NDArray[np.float64]],
    order: int,
) -> NDArray[np.float32]:
    row, column = cosines
    steps = np.arange(plan.columns) * plan.plane_mm, np.arange(plan.rows) * plan.plane_mm
    points = corner[:, None, None] + row[:, None, None] * steps[0] + column[:, None, None] * steps[1][:, None]
    normal = np.cross(row, column)[:, None, None]
    cuts = np.linspace(-0.375, 0.375, 4) * plan.thickness_mm if plan.thickness_mm and order else np.zeros(1)
    total = np.zeros((plan.rows, plan.columns), np.float32)
    for cut in cuts:
        at = (points + cut * normal - np.asarray(volume.origin)[:, None, None]) / np.asarray(volume.spacing[::-1])[
            :, None, None
        ]
        total += ndimage.map_coordinates(
            volume.array, at[::-1], order=order, mode="constant", cval=OUTSIDE_HU if order else 0.0, prefilter=False
        )
    mean: NDArray[np.float32] = total / np.float32(len(cuts))
    return mean
