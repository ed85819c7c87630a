"""Real chests as backgrounds: read, lungs found, bent at random.

A background is no documented normal: what disease it has by itself has no label. Each is scaled, turned and bent a
little (a few mm over 80 mm), so that one anatomy gives many, which still count as one patient.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.data.tables import read_rows
from models.data.volumes.folders import SUFFIX, masks_of
from models.data.volumes.nifti import read_nifti_mask, read_nifti_volume
from models.errors import DataError
from models.simulation.chest import Chest
from models.simulation.fields import Spacing, distance_inside, smooth_field
from models.simulation.regions import heart_of, sides_of
from models.simulation.scanner.noise import estimated

LUNG_HU = -450.0
VESSEL_MM = 6.0  # what is narrower is closed
SMALLEST_MM3 = 3e5
AIRWAY_MM = (28.0, 32.0)  # root of the largest area, farthest from the middle
BEND_MM, BEND_LENGTH_MM = 3.0, 80.0


@dataclass(frozen=True, slots=True)
class Background:
    """A real chest in a file."""

    path: Path
    patient: str
    collection: str
    licence: str


def backgrounds_of(folder: Path) -> tuple[Background, ...]:
    """The rows of labels.csv whose split is "train", in an order that no seed changes.

    Raises
    ------
    DataError
        labels.csv, a column or a file is missing.
    """
    path = folder / "labels.csv"
    rows = [row for row in read_rows(path) if row.get("split") == "train"]
    if not rows or not {"series", "patient", "collection", "licence"} <= set(rows[0]):
        raise DataError(f'{path} needs rows of the split "train" and the columns series, patient, collection, licence.')
    found = [
        Background(folder / "train" / (row["series"] + SUFFIX), row["patient"], row["collection"], row["licence"])
        for row in rows
    ]
    for one in found:
        if not one.path.is_file():
            raise DataError(f"{one.path} is not there, but {path} names it.")
    return tuple(sorted(found, key=lambda one: hashlib.sha256(one.patient.encode()).hexdigest()))


def read_chest(background: Background) -> Chest:
    """The chest of a file with its lungs (from a mask beside it, else by rule) and heart (by rule)."""
    volume = read_nifti_volume(background.path)
    beside = masks_of(background.path).get("lungs")
    lungs = read_nifti_mask(beside, volume) if beside else lungs_by_rule(volume.array, volume.spacing)
    hu = volume.array.astype(np.float32)
    sides = sides_of(lungs, volume.spacing)
    return Chest(hu, volume.spacing, sides, heart_of(hu, sides, volume.spacing), estimated(hu, volume.spacing))


def lungs_by_rule(hu: NDArray[np.float32], spacing: Spacing) -> NDArray[np.bool_]:
    """Air inside the body without the large airways, vessels and small nodules closed.

    Raises
    ------
    DataError
        There is no such air.
    """
    low = hu < LUNG_HU
    parts, count = ndimage.label(distance_inside(low, spacing) > 0.9 * min(spacing))  # no leak through a thin wall
    sizes = np.bincount(parts.ravel()) * float(np.prod(spacing))
    edges = (parts[:, 0], parts[:, -1], parts[:, :, 0], parts[:, :, -1])
    sizes[np.unique(np.concatenate([edge.ravel() for edge in edges]))] = 0
    sizes[0] = 0
    if count == 0 or sizes.max() < SMALLEST_MM3:
        raise DataError("No lungs were found in a background: its values are no HU, or it shows too little.")
    air = low & (distance_inside((sizes >= SMALLEST_MM3 / 3)[parts], spacing) > -2.0 * max(spacing))
    lungs = air & ~_airways(air, spacing)
    wide = distance_inside(lungs, spacing) > -VESSEL_MM
    closed = distance_inside(~wide, spacing) <= -VESSEL_MM
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(closed)
    return filled


def _airways(air: NDArray[np.bool_], spacing: Spacing) -> NDArray[np.bool_]:
    """Trachea and main bronchi: in each axial slice small parts near the middle."""
    found = np.zeros(air.shape, np.bool_)
    middle = np.argwhere(air)[:, 2].mean()
    for slice_, kept in zip(air, found, strict=True):
        parts, _ = ndimage.label(slice_)
        for number, (rows, columns) in enumerate(ndimage.find_objects(parts), start=1):
            one = parts[rows, columns] == number
            near = abs((columns.start + columns.stop) / 2 - middle) * spacing[2] < AIRWAY_MM[1]
            if near and one.sum() * spacing[1] * spacing[2] < AIRWAY_MM[0] ** 2:
                kept[rows, columns] |= one
    return found


def bent(chest: Chest, rng: np.random.Generator) -> Chest:
    """The same person scaled by up to 7 %, turned by up to 5 degrees and bent smoothly."""
    at = _bent_positions(chest, rng)
    hu = ndimage.map_coordinates(chest.hu, at, order=1, mode="nearest", prefilter=False)
    parts = chest.sides + 4 * chest.heart.astype(np.uint8)  # never both: one sampling for the two
    parts = ndimage.map_coordinates(parts, at, order=0, mode="nearest", prefilter=False)
    return Chest(hu, chest.spacing, parts & 3, parts >= 4, estimated(hu, chest.spacing))


def _bent_positions(chest: Chest, rng: np.random.Generator) -> NDArray[np.float32]:
    shape = chest.hu.shape
    scale = rng.uniform(0.93, 1.07, 3) * rng.uniform(0.97, 1.03)
    z, y, x = (np.arange(n, dtype=np.float32) - (n - 1) / 2.0 for n in shape)
    turn = np.radians(rng.uniform(-5, 5))
    z, y, x = z[:, None, None] / scale[0], y[None, :, None] / scale[1], x[None, None, :] / scale[2]
    rotated = (z, np.cos(turn) * y - np.sin(turn) * x, np.cos(turn) * x + np.sin(turn) * y)
    at = np.empty((3, *shape), np.float32)
    for axis in range(3):
        bend = smooth_field(rng, shape, chest.spacing, BEND_LENGTH_MM) * np.float32(BEND_MM / chest.spacing[axis])
        at[axis] = rotated[axis] + bend + np.float32((shape[axis] - 1) / 2.0)
    return at
