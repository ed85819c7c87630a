"""Small chest CT volumes of ellipsoids: a body, two lungs, balls in them; folders and cards of them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.card import Card
from models.cardfile import read_card
from models.data.volumes.nifti import write_nifti
from models.data.volumes.volume import Volume
from models.packages import ZOO, find

CARDS = Path(__file__).parent / "ct_cards"
SPACING = (4.0, 4.0, 4.0)
SHAPE = (60, 60, 80)  # 240 x 240 x 320 mm
RIGHT, LEFT = (120.0, 120.0, 95.0), (120.0, 120.0, 225.0)  # z, y, x mm of the lungs' middles
RADII = (95.0, 70.0, 45.0)
Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Point = tuple[float, float, float]


def ellipsoid(centre: Point, radii: Point, shape: tuple[int, int, int] = SHAPE, spacing: Point = SPACING) -> Mask:
    """The voxels whose middles lie in it; mm from the volume's first edge."""
    axes = [(np.arange(count) + 0.5) * step for count, step in zip(shape, spacing, strict=True)]
    grid = np.meshgrid(*axes, indexing="ij", sparse=True)
    squares = [((axis - c) / r) ** 2 for axis, c, r in zip(grid, centre, radii, strict=True)]
    inside: Mask = squares[0] + squares[1] + squares[2] <= 1
    return inside


def chest(shape: tuple[int, int, int] = SHAPE, spacing: Point = SPACING, seed: int = 0) -> Array:
    """HU of a body with two lungs and noise."""
    hu = np.full(shape, -1000.0, np.float32)
    hu[ellipsoid((120, 120, 160), (1000, 105, 145), shape, spacing)] = 40.0
    for centre in (RIGHT, LEFT):
        hu[ellipsoid(centre, RADII, shape, spacing)] = -850.0
    return hu + np.random.default_rng(seed).normal(0, 20, shape).astype(np.float32)


def ball(hu: Array, centre: Point, radius: float, value: float = 30.0, spacing: Point = SPACING) -> Mask:
    """Put a ball into a volume, and give its mask."""
    shape: tuple[int, int, int] = hu.shape  # type: ignore[assignment]
    inside = ellipsoid(centre, (radius, radius, radius), shape, spacing)
    hu[inside] = value
    return inside


def write_folder(folder: Path, spacing: Point, masks: dict[str, list[tuple[Array, dict[str, Mask]]]]) -> Path:
    """labels.csv, SPLIT/SERIES.nii.gz and its masks; each volume is another patient."""
    rows, number = [], 0
    for split, volumes in masks.items():
        (folder / split).mkdir(parents=True)
        for hu, outlined in volumes:
            series, number = f"series-{number:02}", number + 1
            volume = Volume(hu, spacing)
            write_nifti(folder / split / f"{series}.nii.gz", volume.image(hu.astype(np.int16)))
            for name, mask in outlined.items():
                write_nifti(folder / split / f"{series}.{name}.nii.gz", volume.image(mask.astype(np.uint8)))
            rows.append((split, series, f"phantom-{number}", int("Nodule" in outlined)))
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("split", "series", "patient", "Nodule"), *rows])
    return folder


def pattern(name: str) -> Card:
    """The card of a shipped package, or one of `ct_cards`."""
    own = CARDS / name / "card.toml"
    return read_card(own if own.is_file() else find(name, (ZOO,)) / "card.toml")
