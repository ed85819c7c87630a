from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from models import packages
from models.cardfile import card_text
from models.commands.cli import app
from models.data.pairs import read_pairs
from models.errors import DataError
from models.fitting import lungs
from models.mask_training import interval, measure, train
from models.packages import load_segmenter
from tests.models import phantoms
from tests.models.mask_phantoms import card, write_folder


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lungs, "FIRST", (40, 20))


def test_the_command_trains_a_package_whose_card_has_its_dice(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "lungs")
    pattern = tmp_path / "models" / "phantom-lungs"
    pattern.mkdir(parents=True)
    (pattern / "card.toml").write_text(card_text(card()), encoding="utf-8")
    command = ["train", "--data", str(data), "--run", str(tmp_path / "run"), "--like", str(pattern), "--seed", "3"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "Dice" in done.output
    folder = tmp_path / "run" / "phantom-lungs"
    packages.verify(folder)
    written = packages.load_card(folder).training
    assert written.seed == 3
    (overlap,) = written.overlaps
    assert (overlap.data, overlap.images) == ("validation", 4)
    assert overlap.lowest <= overlap.interval[0] <= overlap.dice <= overlap.interval[1] <= 1.0
    report = json.loads((tmp_path / "run" / "run.json").read_text())
    assert report["digest"] == packages.digest(folder)
    assert len(report["dice"]) == 4
    shown = CliRunner().invoke(app, ["show", str(folder)])
    assert f"{overlap.dice:.3f}" in shown.output
    again, each = measure(load_segmenter(folder), read_pairs(data, "validation"), "validation")
    assert again == overlap
    assert min(each) == overlap.lowest


def test_what_cannot_be_trained_is_named(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "lungs", train=2, validation=2)
    with pytest.raises(DataError, match="The split train cannot be the test"):
        train(data, card(), tmp_path, seed=0, test="train", advance=lambda *step: None)
    with pytest.raises(DataError, match="phantom is not fitted on masks"):
        train(data, phantoms.card(), tmp_path, seed=0, advance=lambda *step: None)


def test_the_interval_is_of_patients_and_not_of_images() -> None:
    """Two images of one patient are drawn together: ten alike images of one patient say nothing of another."""
    one, other = [0.5] * 10 + [0.9], np.array([0] * 10 + [1])
    assert interval(one, other)[1] > 0.85
    assert interval([0.9, 0.9], np.array([0, 1])) == (0.9, 0.9)
