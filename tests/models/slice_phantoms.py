"""Drawn chest slices of three classes: no lesion, a small one, a large one; scanners differ in all but the body."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models import packages
from models.card import Card
from models.slices.table import Slices

CLASSES = ("normal", "benign", "malignant")
RADIUS = {"normal": 0, "benign": 5, "malignant": 14}
TABLE = Slices(size=(64, 64), window=(-1250.0, 250.0))
SIZE = 96


def drawn(kind: str, seed: int, air: float = 0.15, size: int = SIZE) -> NDArray[np.float32]:
    """A slice (rows, columns) of 0..1: a body with two lungs, a lesion in one of them, a table below, noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] * (SIZE / size)
    middle, across = 44 + rng.integers(-3, 4), rng.integers(36, 41)
    image = np.full((size, size), air)
    image[((x - 48) / across) ** 2 + ((y - middle) / 30) ** 2 <= 1] = 0.85
    for side in (-1, 1):
        image[((x - 48 - side * 17) / 12) ** 2 + ((y - middle) / 20) ** 2 <= 1] = 0.2
    side = rng.choice([-1, 1])
    image[(x - 48 - side * 17) ** 2 + (y - middle) ** 2 <= RADIUS[kind] ** 2] = 0.85
    image[(y > 86) & (y < 88)] = 0.9
    return np.clip(image + rng.normal(0, 0.01, image.shape), 0, 1).astype(np.float32)


def hounsfield(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values that a slice had before its window."""
    low, high = TABLE.window
    return (low + image * (high - low)).astype(np.float32)


def write_folder(folder: Path, groups: int = 5, validation: int = 2, delimiter: str = ",") -> Path:
    """Two slices a group; of each class so many groups for training and for validation."""
    (folder / "images").mkdir(parents=True)
    rows, number = [], 0
    for split, count in (("train", groups), ("validation", validation)):
        for kind in CLASSES:
            for _ in range(count):
                number += 1
                for one in range(2):
                    name = f"{number:03}_{one}.png"
                    pixels = (drawn(kind, 10 * number + one) * 255).astype(np.uint8)
                    Image.fromarray(pixels).save(folder / "images" / name)
                    rows.append([name, kind, number, split])
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, delimiter=delimiter).writerows([["image", "class", "group", "split"], *rows])
    return folder


def card(**more: Any) -> Card:
    """The shipped card for small pictures."""
    shipped = packages.load_card(packages.ZOO / "chest-ct-tumour")
    return Card.model_validate(shipped.model_dump() | {"slices": TABLE.model_dump()} | more)
