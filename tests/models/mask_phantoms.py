"""A folder of small synthetic radiographs with masks: two dark ellipses in a bright body."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models import packages
from models.card import Card

SIDE = 96


def write_folder(folder: Path, train: int = 8, validation: int = 4) -> Path:
    """pairs.csv, images/ and masks/; two images a patient."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    rows = []
    for number in range(train + validation):
        image, mask = radiograph(rng)
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
        split = "train" if number < train else "validation"
        rows.append((f"images/{number}.png", f"masks/{number}.png", f"p{number // 2}", split))
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("image", "mask", "patient", "split"), *rows])
    return folder


def radiograph(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """An image (SIDE, SIDE) and its lungs."""
    rows, columns = np.ogrid[:SIDE, :SIDE]
    height, width, down = rng.uniform(24, 30), rng.uniform(13, 16), rng.uniform(42, 50)
    mask = np.zeros((SIDE, SIDE), np.bool_)
    for centre in (28.0, 68.0):
        mask |= ((rows - down) / height) ** 2 + ((columns - centre) / width) ** 2 <= 1.0
    image = np.where(mask, 70.0, 180.0) + rng.normal(0, 8, (SIDE, SIDE))
    return image.clip(0, 255).astype(np.uint8), mask


def card() -> Card:
    """The shipped card of lungs for small inputs."""
    shipped = packages.load_card(packages.find("lungs"))
    size = shipped.input.model_copy(update={"size": (SIDE, SIDE)})
    return shipped.model_copy(update={"name": "phantom-lungs", "input": size})
