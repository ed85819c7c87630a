"""A folder of small synthetic radiographs in which one label is a bright disc and another a bright half; a package."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from models import packages
from models.card import Card, Weights
from models.cardfile import card_text
from models.networks.modules.storage import to_bytes
from models.networks.modules.tapped import CamNetwork

SIZE = 128
COLUMNS = ("split", "image", "patient", "follow_up", "age", "sex", "view", "source", "Disc", "Half")


def write_folder(folder: Path, train: int = 80, validation: int = 60) -> Path:
    """labels.csv, images/ and boxes.csv; two images a patient, sources A and B, noise everywhere."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    rows, boxes = [], []
    for number in range(train + validation):
        disc, half = rng.random() < 0.5, rng.random() < 0.5
        image = rng.normal(90, 12, (SIZE, SIZE))
        y, x = rng.integers(SIZE // 4, 3 * SIZE // 4, 2)
        if disc:
            rows_, columns = np.ogrid[:SIZE, :SIZE]
            image[(rows_ - y) ** 2 + (columns - x) ** 2 <= (SIZE // 6) ** 2] += 110
        if half:
            image[: SIZE // 2] += 50
        name = f"{number:03}.png"
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(folder / "images" / name)
        split, source = "train" if number < train else "validation", "AB"[number // 2 % 2]
        rows.append((split, name, number // 2, 0, 50, "F", "PA", source, int(disc), int(half)))
        if disc:
            boxes.append((name, "A", "Disc", x - SIZE // 6, y - SIZE // 6, SIZE // 3, SIZE // 3))
    _write(folder / "labels.csv", COLUMNS, rows)
    _write(folder / "boxes.csv", ("image", "source", "label", "x", "y", "width", "height"), boxes)
    return folder


def card() -> Card:
    """The shipped card with the labels of the phantom, for a localizer that sees the whole image."""
    shipped = packages.load_card(packages.find("chest-xray"))
    own = {"region_of_peak": 0.0, "shows_regions": True, "triage": None}
    labels = tuple(
        label.model_copy(update=own | {"name": name})
        for label, name in zip(shipped.labels, ("Disc", "Half"), strict=False)
    )
    assert shipped.network is not None
    network = shipped.network.model_copy(update={"taps": (6, 10, 14), "border": 1, "deviations": True})
    update = {"name": "phantom", "labels": labels, "input": shipped.input.model_copy(update={"size": (SIZE, SIZE)})}
    return shipped.model_copy(update=update | {"localizer": "cam", "network": network, "anatomy": None})


def write_package(parent: Path, size: int = SIZE) -> Path:
    """A package of the card for inputs of that size: random weights, with all that a `CamNetwork` can have."""
    given = card()
    assert given.network is not None
    torch.manual_seed(0)
    network = CamNetwork(given.network.taps, len(given.labels), given.network.border, deviations=True)
    torch.nn.init.normal_(network.head.weight, std=0.05)
    network.centre.normal_()
    network.average.normal_()
    data = to_bytes(network)
    weights = Weights(sha256=hashlib.sha256(data).hexdigest())
    folder = parent / given.name
    folder.mkdir(parents=True)
    (folder / weights.file).write_bytes(data)
    update = {"weights": weights, "input": given.input.model_copy(update={"size": (size, size)})}
    (folder / packages.CARD).write_text(card_text(given.model_copy(update=update)), encoding="utf-8")
    return folder


def _write(path: Path, header: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
