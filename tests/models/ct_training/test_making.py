"""Packages made by the command from a few small volumes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from models import packages
from models.cardfile import card_text
from models.commands.cli import app
from models.ct_training import candidates, nodules
from models.ct_training import lungs as making_lungs
from models.ct_training.nodules import Scored, froc_table, marks_of
from models.errors import DataError, InputError
from models.fitting.ct import cubes, examples, lungs
from tests.models.ct_phantoms import LEFT, RADII, RIGHT, SPACING, ball, chest, ellipsoid, pattern, write_folder
from tests.models.shared_data import CHEST_CT, needs_chest_ct

FINE, SHAPE = (3.0, 3.0, 3.0), (80, 80, 106)


def like(folder: Path, name: str) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "card.toml").write_text(card_text(pattern(name)), encoding="utf-8")
    return folder / name


def test_the_command_makes_lungs_and_writes_their_dice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lungs, "STEPS", 2)
    monkeypatch.setattr(lungs, "SHAPE", (32, 32, 32))
    monkeypatch.setattr(making_lungs, "FOLDS", 2)
    both = ellipsoid(RIGHT, RADII) | ellipsoid(LEFT, RADII)
    volumes = [(chest(seed=seed), {"lungs": both}) for seed in range(2)]
    data = write_folder(tmp_path / "data", SPACING, {"train": volumes})
    given = like(tmp_path / "models", "lungs-ct")
    command = ["train", "--data", str(data), "--run", str(tmp_path / "run"), "--like", str(given), "--seed", "3"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    folder = tmp_path / "run" / "lungs-ct"
    packages.verify(folder)
    packages.require_own(folder)
    (overlap,) = packages.load_card(folder).training.overlaps
    assert (overlap.data, overlap.images) == ("training, out of fold", 2)
    assert overlap.dice > 0.9  # of the air, since two steps teach nothing
    assert f"{overlap.dice:.3f}" in done.output
    report = json.loads((tmp_path / "run" / "run.json").read_text())
    assert set(report["volumes"]) == {"series-00", "series-01"}
    monkeypatch.setattr(making_lungs, "FOLDS", 4)
    done = CliRunner().invoke(app, [*command[:4], str(tmp_path / "again"), *command[5:]])
    assert "lungs of 2 anatomies: at least 4 are needed" in " ".join(done.output.split())


def test_the_command_makes_nodules_and_writes_their_threshold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cubes, "STEPS", 3)
    monkeypatch.setattr(nodules, "FOLDS", 2)
    monkeypatch.setattr(nodules, "volume_lungs", lambda card: None)
    made = []
    for seed in range(4):
        hu = chest(SHAPE, FINE, seed)
        mask = ball(hu, (121.0, 121.0, 95.0 + 3 * seed), 8.0, spacing=FINE)
        ball(hu, (121.0, 100.0, 225.0), 6.0, spacing=FINE)
        made.append((hu, {"Nodule": mask}))
    data = write_folder(tmp_path / "data", FINE, {"train": made[:2], "test": made[2:]})
    given = like(tmp_path / "models", "chest-ct-nodules")
    command = ["train", "--data", str(data), "--run", str(tmp_path / "run"), "--like", str(given), "--test", "test"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    folder = tmp_path / "run" / "chest-ct-nodules"
    packages.verify(folder)
    (label,) = packages.load_card(folder).labels
    assert label.operating_point == label.saliency_threshold
    report = json.loads((tmp_path / "run" / "run.json").read_text())
    assert report["froc"]["test"]["nodules"] == 2
    assert report["froc"]["test"]["found by any candidate"] == 1.0


def test_volumes_without_a_nodule_teach_nothing() -> None:
    with pytest.raises(InputError, match="give no nodule"):
        candidates.joined([cubes.Cubes(np.zeros((2, 4, 4, 4), np.int16), np.zeros(2, np.bool_), np.array(["a", "a"]))])


def scans() -> list[Scored]:
    """Two scans: one nodule that the CNN puts first and strength last, one without a candidate."""
    on, strengths = np.array([-1, 0, -1]), np.array([3.0, 1.0, 2.0])
    one = Scored("a", 1, on, strengths, np.array([-1.0, 2.0, -2.0]))
    return [one, Scored("b", 1, np.array([-1]), np.array([0.5]), np.array([-3.0]))]


def test_false_candidates_and_found_nodules_are_counted() -> None:
    marks = marks_of(scans(), "logits")
    assert marks.found.tolist() == [2.0, -np.inf]
    assert sorted(marks.false.tolist()) == [-3.0, -2.0, -1.0]
    table = froc_table(scans())
    assert table["logits"] == [0.5] * 7
    assert table["strengths"][0] < 0.5
    assert table["found by any candidate"] == 0.5


def test_the_operating_point_leaves_one_false_candidate_a_scan() -> None:
    card = nodules._with_threshold(pattern("chest-ct-nodules"), scans())
    point = card.labels[0].operating_point
    assert point == pytest.approx(1 / (1 + np.exp(3.0)), abs=1e-3)


@needs_chest_ct
def test_the_lobes_of_lidc_idri_0001_lie_on_its_air() -> None:
    """Indices and sides: what the file calls lung is air in the series, the right lobes at low columns."""
    (one,) = (one for one in examples.lung_examples(CHEST_CT.parent, "train") if one.name == "lidc-idri-0001")
    assert np.median(one.volume.array[one.right]) < -800
    assert np.median(one.volume.array[one.left]) < -800
    assert np.argwhere(one.right)[:, 2].mean() < np.argwhere(one.left)[:, 2].mean()


def test_a_folder_without_lungs_is_refused(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", SPACING, {"train": [(chest(), {})]})
    with pytest.raises(DataError, match=r"no volume of the split train with a mask SERIES\.lungs"):
        list(examples.lung_examples(data, "train"))
