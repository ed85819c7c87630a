"""A package fitted on a few real radiographs: it loads, its figures are there, a seed and a kill change nothing."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models import packages
from models.card import Card
from models.data.images import read_image
from models.errors import DataError, PackageError
from models.fitting.task import Advance
from models.fitting.thorax import crops
from models.fitting.thorax.fitting import PENALTIES
from models.networks.modules.backbone_file import imagenet_weights
from models.training import forecast_lines, train
from tests.models import phantoms
from tests.models.shared_data import CHEST_XRAY, needs_chest_xray

try:
    imagenet_weights()
except PackageError as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = needs_chest_xray

LABELS = ("Cardiomegaly", "Effusion")
SIZE, CROP = 128, 96
EACH = 20  # training images with one label, with the other, with none
Rows = list[dict[str, str]]


def card() -> Card:
    """The shipped card for two labels, a small input and the smallest crop."""
    shipped = packages.load_card(packages.find("chest-xray"))
    assert shipped.anatomy is not None
    update = {
        "name": "small",
        "labels": tuple(label for label in shipped.labels if label.name in LABELS),
        "input": shipped.input.model_copy(update={"size": (SIZE, SIZE)}),
        "anatomy": shipped.anatomy.model_copy(update={"crop": CROP}),
    }
    return shipped.model_copy(update=update)


def chosen() -> Rows:
    """Rows of labels.csv, all of source A but some to test on: 3 x EACH to train on, and a dozen to test on."""
    with (CHEST_XRAY / "labels.csv").open(newline="") as stream:
        every = list(csv.DictReader(stream))
    train = [row for row in every if (row["split"], row["source"]) == ("train", "A")]
    kinds: tuple[Callable[[dict[str, str]], bool], ...] = (
        lambda row: row["Cardiomegaly"] == "1",
        lambda row: row["Effusion"] == "1" and row["Cardiomegaly"] == "0",
        lambda row: row["No_Finding"] == "1",
    )
    kept = [row for kind in kinds for row in [one for one in train if kind(one)][:EACH]]
    return kept + [row for row in every if row["split"] == "validation"][:12]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rows = tmp_path_factory.mktemp("data") / "small", chosen()
    (folder / "images").mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    (folder / "teacher.csv").symlink_to(CHEST_XRAY / "teacher.csv")
    for row in rows:
        (folder / "images" / row["image"]).symlink_to(CHEST_XRAY / "images" / row["image"])
    return folder


def quiet(*_: object) -> None:
    return None


def fitted(data: Path, run: Path, *, advance: Advance = quiet, resume: bool = False) -> Path:
    return train(data, card(), imagenet_weights(), run, seed=3, resume=resume, advance=advance)[0]


@pytest.fixture(scope="module")
def package(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted(data, tmp_path_factory.mktemp("run"))


def test_the_package_loads_and_predicts(package: Path, data: Path) -> None:
    packages.verify(package)
    model = packages.load(package, "cpu")
    found = model.predict(read_image(next((data / "images").iterdir()), (SIZE, SIZE)))
    assert found.labels == LABELS
    assert np.isfinite(found.logits).all() and found.saliency.any()
    for label in model.card.labels:  # a threshold that whole images reach would outline everything
        assert label.saliency_threshold > 0


def test_the_card_says_how_it_was_fitted_and_measured_out_of_fold(package: Path) -> None:
    written = packages.load_card(package)
    assert (written.localizer, written.anatomy) == ("thorax-cam", card().anatomy)
    assert written.training.seed == 3
    assert written.training.penalty in PENALTIES
    figures = {one.label: one for one in written.training.measured if one.data == "training, out of fold, A"}
    assert set(figures) == set(LABELS)
    for one in figures.values():
        assert one.images == 3 * EACH and one.positives >= EACH
        assert one.interval[0] <= one.auc <= one.interval[1]
    assert np.mean([one.auc for one in figures.values()]) > 0.6  # 60 images: better than chance, no more
    for label in written.labels:
        assert sum(dot.images for dot in label.reliability) == 3 * EACH


def test_the_run_ends_with_a_learning_curve_of_its_own_head(package: Path) -> None:
    curve, more, _ = forecast_lines(package.parent)
    counts = [int(one) for one in re.findall(r"(\d+) images 0\.", curve)]
    assert counts[-1] == 3 * EACH * 4 // 5 and counts == sorted(counts) and len(counts) == 4
    assert "10 times as many images" in more


class Killed(Exception):
    """What stands for a kill."""


def test_the_same_seed_makes_the_same_package_though_the_run_is_killed_on_the_way(
    package: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crops, "SAVED_AFTER", 2)
    seen = list[int]()

    def advance(stage: str, done: int, count: int) -> None:
        if stage == "features":
            seen.append(done)
            if done == 40 and len(seen) == 5:
                raise Killed

    with pytest.raises(Killed):
        fitted(data, tmp_path, advance=advance)
    assert (tmp_path / "features" / "done").read_text() == "32"
    again = fitted(data, tmp_path, advance=advance, resume=True)
    assert seen[5] == 40  # goes on after 32
    assert seen[-1] == 3 * EACH
    assert packages.sha256(again / "weights.safetensors") == packages.sha256(package / "weights.safetensors")
    assert packages.digest(again) == packages.digest(package)
    assert not (tmp_path / "features").exists()


def test_a_card_without_anatomy_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"phantom has no \[anatomy\], which thorax-cam needs: take --like chest-xray"):
        train(data, phantoms.card(), Path("none"), tmp_path, seed=0, localizer="thorax-cam", advance=quiet)
