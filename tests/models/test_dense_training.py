"""Training on a user's own masks: a disc and a square in noise, each a label."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from models import packages
from models.card import Card
from models.cardfile import card_text
from models.commands.cli import app
from models.fitting import masks
from models.metrics.masks import hausdorff95

SIDE = 48
LEAST_DICE = 0.7  # of each image; measured: discs from 0.79 on


def write_folder(folder: Path, separator: str = ",", shared: bool = False) -> Path:
    rng = np.random.default_rng(0)
    rows = [("image", "Disc", "Square", "patient", "split")]
    y, x = np.ogrid[:SIDE, :SIDE]
    folder.mkdir()
    for number in range(16):
        row, column = rng.uniform(12, 36), rng.uniform(10, 20)
        disc = np.hypot(y - row, x - column) <= rng.uniform(6, 8)
        top, left = rng.integers(8, 30), rng.integers(27, 34)
        square = (y >= top) & (y < top + 11) & (x >= left) & (x < left + 11)
        grey = 60 + 120 * disc + 60 * square + rng.normal(0, 10, (SIDE, SIDE))
        for name, pixels in (("i", grey.clip(0, 255)), ("d", 255 * disc), ("s", 255 * square)):
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{name}{number}.png")
        split = "train" if number < 10 else "validation"
        patient = "p0" if shared else f"p{number // 2}"
        rows.append((f"i{number}.png", f"d{number}.png", f"s{number}.png", patient, split))
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, delimiter=separator).writerows(rows)
    return folder


def pattern(folder: Path) -> Path:
    labels = [
        {"name": name, "code": ["4147007", "SCT", "Mass"], "site": ["12738006", "SCT", "Brain"], "urgency": "LOW",
         "operating_point": 0.5, "saliency_threshold": 0.5, "region": "parts", "colour": [255, 0, 0]}
        for name in ("Disc", "Square")
    ]  # fmt: skip
    card = Card.model_validate({
        "name": "shapes", "version": "0.1.0", "title": "Shapes", "manufacturer": "nobody", "summary": "a pattern",
        "licence": "MIT", "limits": ["of another model"], "algorithm": "neural network", "quantity": "score",
        "localizer": "masks", "input": {"kind": "image", "modalities": ["MR"], "size": [SIDE, SIDE]},
        "network": {"backbone": "unet-masks", "channels": 1, "mean": 0.0, "std": 1.0, "scaling": "standard"},
        "weights": {"sha256": "0" * 64}, "masks": {"pixels": "sigmoid"},
        "training": {"data": "another hospital", "split": "-", "method": "-"}, "labels": labels,
    })  # fmt: skip
    (folder / "shapes").mkdir(parents=True)
    (folder / "shapes" / "card.toml").write_text(card_text(card), encoding="utf-8")
    return folder / "shapes"


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "STEPS", (80, 40))


def test_the_command_trains_masks_of_any_labels_and_the_card_is_of_the_run(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "drawn", ";")
    options = ["--run", str(tmp_path / "run"), "--like", str(pattern(tmp_path / "like"))]
    done = CliRunner().invoke(app, ["train", "--data", str(data), *options])
    assert done.exit_code == 0, done.output
    card = packages.load_card(tmp_path / "run" / "shapes")
    assert [one.data for one in card.training.overlaps] == ["validation, Disc", "validation, Square"]
    for one in card.training.overlaps:
        assert LEAST_DICE <= one.lowest <= one.interval[0] <= one.dice <= one.interval[1]
        assert one.hausdorff95 is not None
        assert one.hausdorff95 < 4
    assert card.training.data == "10 images of 5 patients, split train of drawn"
    assert "another" not in card_text(card)
    report = json.loads((tmp_path / "run" / "run.json").read_text())
    assert len(report["dice"]["Disc"]) == 6
    assert packages.load(tmp_path / "run" / "shapes", "cpu").digest == report["digest"]


def test_patients_in_both_splits_are_refused_in_one_sentence(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "drawn", shared=True)
    options = ["--run", str(tmp_path / "run"), "--like", str(pattern(tmp_path / "like"))]
    done = CliRunner().invoke(app, ["train", "--data", str(data), *options])
    assert done.exit_code == 1
    assert "1 patients are in train and in validation, the first: p0." in done.output.replace("\n", " ")


def test_the_hausdorff_distance_leaves_out_the_farthest_twentieth() -> None:
    one, other = np.zeros((40, 40), np.bool_), np.zeros((40, 40), np.bool_)
    one[10:20, 10:20] = other[10:20, 13:23] = True
    assert hausdorff95(one, other) == 3.0
    assert hausdorff95(one, one) == 0.0
    other[35, 35] = True  # one pixel of 37 of the border
    assert hausdorff95(one, other) == 3.0
    assert hausdorff95(one, np.zeros_like(one)) is None
