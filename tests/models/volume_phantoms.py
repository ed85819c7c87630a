"""Small synthetic chests: a body with two lungs in air, and bright balls in the lungs; folders and packages of them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models import packages
from models.data.volumes.nifti import write_nifti
from models.data.volumes.volume import Volume
from models.loaded import LoadedModel
from models.localizers.registry import Localized

SHAPE = (32, 40, 48)
SPACING = (5.0, 5.0, 5.0)
RADIUS = 3.3  # voxels
Place = tuple[int, int, int]


def ball(at: Place, radius: float = RADIUS) -> NDArray[np.bool_]:
    """Voxels (d, h, w) within a ball."""
    z, y, x = np.ogrid[tuple(slice(length) for length in SHAPE)]
    inside: NDArray[np.bool_] = (z - at[0]) ** 2 + (y - at[1]) ** 2 + (x - at[2]) ** 2 <= radius**2
    return inside


def lungs() -> NDArray[np.bool_]:
    """Two blocks."""
    mask = np.zeros(SHAPE, np.bool_)
    mask[4:28, 10:30, 8:21] = mask[4:28, 10:30, 27:40] = True
    return mask


def chest(*lesions: Place, seed: int = 0) -> Volume:
    """A chest with balls of 40 HU at these places."""
    array = np.full(SHAPE, -1000.0, np.float32)
    array[:, 5:35, 4:44] = 30.0
    array[lungs()] = -850.0
    for at in lesions:
        array[ball(at)] = 40.0
    noise = np.random.default_rng(seed).normal(0, 5, SHAPE)
    return Volume((array + noise).astype(np.float32), SPACING, (-120.0, -100.0, 50.0))


class Dense:
    """Maps at half the resolution: HU above aerated lung, within the lungs; for the second label upside down."""

    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """Logits: the largest cell over 350, in hundreds."""
        dense = np.where(lungs(), image + 850.0, 0.0)
        d, h, w = (length // 2 for length in SHAPE)
        cells = dense.reshape(d, 2, h, 2, w, 2).mean((1, 3, 5)).astype(np.float32)
        best = (float(cells.max()) - 350) / 100
        return Localized(np.array([best, best], np.float32), np.stack([cells, cells[::-1]]))


def model() -> LoadedModel:
    """A package of the labels Nodule, whose map lies on the balls, and Mass, whose map is upside down."""
    card = packages.load_card(packages.find("chest-ct"))
    given = card.labels[0].model_copy(update={"saliency_threshold": 350.0, "smallest_region_mm3": 0.0})
    labels = tuple(given.model_copy(update={"name": name}) for name in ("Nodule", "Mass"))
    rules = card.input.model_copy(update={"smallest_slices": 20, "smallest_rows_columns": (32, 32)})
    return LoadedModel(card.model_copy(update={"labels": labels, "input": rules}), "0" * 64, Dense())


def write_series(folder: Path, name: str, *lesions: Place, kind: str = "nodule", seed: int = 0) -> Volume:
    """NAME.nii.gz, and the mask NAME.KIND.nii.gz where there are lesions."""
    folder.mkdir(parents=True, exist_ok=True)
    volume = chest(*lesions, seed=seed)
    write_nifti(folder / f"{name}.nii.gz", volume.image())
    if lesions:
        mask = np.any([ball(at) for at in lesions], axis=0)
        write_nifti(folder / f"{name}.{kind}.nii.gz", volume.image(mask.astype(np.uint8)))
    return volume


def write_table(path: Path, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """A CSV file."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([columns, *rows])


def write_labelled(folder: Path, count: int = 12) -> Path:
    """`count` anatomies; every other one with a lesion, labels and masks called as the label."""
    places = [(8, 15, 12), (20, 20, 33), (14, 24, 15), (22, 14, 31)]
    rows = list[tuple[object, ...]]()
    for number in range(count):
        sick = number % 2 == 0
        at = (places[number // 2 % len(places)],) if sick else ()
        write_series(folder / "validation", f"s{number:02}", *at, kind="Nodule", seed=number)
        rows.append(("validation", f"s{number:02}", f"p{number:02}", int(sick)))
    write_table(folder / "labels.csv", ("split", "series", "patient", "Nodule"), rows)
    return folder


def write_unlabelled(folder: Path) -> Path:
    """A folder as ../shared/data/chest_ct/volumes: no column of a label, masks nodule and tumour, and one box."""
    nodule, tumour = (8, 15, 12), (20, 20, 33)
    write_series(folder / "validation", "a", nodule)
    write_series(folder / "validation", "b", tumour, kind="tumour", seed=1)
    write_series(folder / "validation", "c", seed=2)
    volume = chest((9, 24, 15), seed=2)
    write_nifti(folder / "validation" / "c.nii.gz", volume.image())
    rows = [("validation", name, f"p{name}", "nodule/mass=1") for name in "abc"]
    write_table(folder / "labels.csv", ("split", "series", "patient", "findings_known"), [*rows])
    edges = ("x0", "x1", "y0", "y1", "z0", "z1")
    box = ("c", "tumour (class A)", *(0,) * 6, 13, 17, 22, 26, 7, 11)
    write_table(folder / "boxes.csv", ("series", "finding", *edges, *(f"iso_{edge}" for edge in edges)), [box])
    return folder
