"""Chests of ellipsoids: a body, two lungs, and in some a bright ball in a lung."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.card import Card
from models.data.volumes.nifti import write_nifti
from models.data.volumes.volume import Volume

SHAPE, SPACING = (40, 44, 60), (6.0, 6.0, 6.0)
SOFT, LUNG, BALL = 40.0, -850.0, 60.0
CENTRES = {"right": (0.5, 0.5, 0.3), "left": (0.5, 0.5, 0.7)}  # parts of (z, y, x)

CARD = {
    "name": "phantom-ct",
    "version": "0.1.0",
    "title": "Phantom chests",
    "manufacturer": "ReadFirst",
    "summary": "Balls in ellipsoids.",
    "licence": "Apache-2.0",
    "limits": ["Phantoms.", "Regions are of another method."],
    "algorithm": "neural network",
    "quantity": "probability",
    "localizer": "volume-cam",
    "input": {"kind": "volume", "modalities": ["CT"]},
    "network": {"backbone": "efficientnet-lite0", "taps": [4, 10], "mean": 0.5, "std": 0.5},
    "volume": {
        "spacing_mm": [6.0, 3.0, 3.0],
        "resolution_mm": 6.0,
        "windows": [[-600, 1500], [40, 400], [-875, 250]],
        "slab": 2,
    },
    "training": {"data": "phantoms", "split": "by patient", "method": "none yet", "simulated": True},
    "labels": [
        {
            "name": "Ball", "code": ["786838002", "SCT", "Nodule of lung"], "site": ["39607008", "SCT", "Lung"],
            "urgency": "LOW", "operating_point": 0.5, "saliency_threshold": 0.0, "colour": [255, 0, 0],
        }
    ],
}  # fmt: skip


def card(localizer: str = "volume-cam", **volume: object) -> Card:
    """A card of a localizer on slices, with other keys of [volume]."""
    return Card.model_validate(CARD | {"localizer": localizer, "volume": CARD["volume"] | volume})


def cnn_card() -> Card:
    """The card of the 3D CNN."""
    changed = card("volume-cnn3d", spacing_mm=[6.0, 6.0, 6.0], slab=1).model_dump()
    changed["network"] |= {"backbone": "cnn3d", "taps": []}
    return Card.model_validate(changed)


def millimetres(shape: tuple[int, ...], spacing: tuple[float, ...]) -> tuple[NDArray[np.float64], ...]:
    """Where voxels' centres lie along z, y, x, from the first edge of the volume."""
    axes = [(np.arange(count) + 0.5) * step for count, step in zip(shape, spacing, strict=True)]
    return tuple(np.meshgrid(*axes, indexing="ij", sparse=True))


def ellipsoid(
    shape: tuple[int, ...], spacing: tuple[float, ...], centre: tuple[float, ...], radii: tuple[float, ...]
) -> NDArray[np.bool_]:
    """Voxels (z, y, x) inside, all in mm."""
    grid = millimetres(shape, spacing)
    away = sum(((one - middle) / radius) ** 2 for one, middle, radius in zip(grid, centre, radii, strict=True))
    found: NDArray[np.bool_] = np.asarray(away) <= 1
    return found


def chest(
    seed: int = 0, shape: tuple[int, ...] = SHAPE, spacing: tuple[float, ...] = SPACING, lungs: tuple[str, ...] = ()
) -> NDArray[np.float32]:
    """HU (z, y, x) of a chest with some noise, with these lungs, else with both."""
    size = np.array(shape) * spacing
    volume = np.full(shape, -1000.0, np.float32)
    middle = tuple(size / 2)
    volume[ellipsoid(shape, spacing, middle, (size[0], 0.45 * size[1], 0.46 * size[2]))] = SOFT
    for name in lungs or CENTRES:
        at = tuple(size * CENTRES[name])
        volume[ellipsoid(shape, spacing, at, (0.38 * size[0], 0.28 * size[1], 0.14 * size[2]))] = LUNG
    return volume + np.random.default_rng(seed).normal(0, 10, shape).astype(np.float32)


def ball(seed: int, shape: tuple[int, ...] = SHAPE, spacing: tuple[float, ...] = SPACING) -> NDArray[np.bool_]:
    """A ball of 24 mm radius somewhere in a lung."""
    generator, size = np.random.default_rng(seed), np.array(shape) * spacing
    centre = np.array(CENTRES["left" if generator.random() < 0.5 else "right"]) + generator.uniform(-0.05, 0.05, 3)
    centre[0] += generator.uniform(-0.15, 0.15)
    return ellipsoid(shape, spacing, tuple(centre * size), (24.0, 24.0, 24.0))


def with_ball(seed: int) -> NDArray[np.float32]:
    """A chest with the ball of that seed."""
    volume = chest(seed)
    volume[ball(seed)] = BALL
    return volume


def write_folder(folder: Path, train: int = 12, validation: int = 8) -> Path:
    """A folder of volumes; every other one has a ball."""
    rows = []
    for split, count, first in (("train", train, 0), ("validation", validation, 1000)):
        (folder / split).mkdir(parents=True)
        for seed in range(first, first + count):
            volume = Volume(with_ball(seed) if seed % 2 else chest(seed), SPACING)
            write_nifti(folder / split / f"P{seed}.nii.gz", volume.image())
            rows.append({"split": split, "series": f"P{seed}", "patient": f"p{seed}", "Ball": seed % 2})
    with (folder / "labels.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder
