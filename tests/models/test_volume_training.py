"""A package is made of labelled volumes, finds what their labels name, and points at it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from models import packages
from models.card import Card
from models.cardfile import card_text, read_card
from models.commands.cli import app
from models.data.volumes import folders
from models.errors import CardError, DataError, PackageError, RunError
from models.networks.modules.backbone_file import imagenet_weights
from models.volume_training import train
from tests.models import chest_volumes as phantoms

try:
    imagenet_weights()
except PackageError as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantoms.write_folder(tmp_path_factory.mktemp("data") / "phantom")


def fitted(data: Path, run: Path, card: Card, *, resume: bool = False) -> Path:
    folder, _ = train(data, card, imagenet_weights(), run, seed=0, resume=resume, advance=lambda *step: None)
    return folder


@pytest.fixture(scope="module")
def package(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted(data, tmp_path_factory.mktemp("run"), phantoms.card("volume-mil"))


def stretched(cells: np.ndarray) -> np.ndarray:
    """A map at the phantom's voxels: each has the value of its cell."""
    for axis, count in enumerate(phantoms.SHAPE):
        cells = cells.repeat(count // cells.shape[axis], axis)
    return cells


def test_it_finds_the_ball_and_points_at_it(package: Path) -> None:
    model, hits, lungs = packages.load(package, "cpu"), 0, phantoms.chest() < -400
    lungs &= phantoms.ellipsoid(phantoms.SHAPE, phantoms.SPACING, (120, 132, 180), (240, 100, 150))
    for seed in range(2001, 2012, 2):
        found = model.predict(phantoms.with_ball(seed), phantoms.SPACING)
        assert found.logits[0] > model.predict(phantoms.chest(seed), phantoms.SPACING).logits[0]
        saliency = stretched(found.saliency[0])
        peak = np.unravel_index(int(np.where(lungs, saliency, -np.inf).argmax()), phantoms.SHAPE)
        away = np.linalg.norm((np.array(peak) - np.argwhere(phantoms.ball(seed)).mean(0)) * phantoms.SPACING)
        hits += bool(away < 36)
    assert hits >= 5  # of 6; so near, a cell and a half, lies a fourteenth of the lungs


def test_the_package_is_whole_and_says_how_it_was_made(package: Path) -> None:
    packages.verify(package)
    card = packages.load_card(package)
    assert not card.training.simulated  # labels.csv has no column of `readfirst models simulate`
    assert all(one.interval[0] < 0.9 for one in card.training.measured)  # few: never 1 to 1
    assert "without any mask" in card.training.method
    assert any(limit.startswith("Regions are where attention times score") for limit in card.limits)
    assert {one.data for one in card.training.measured} == {"validation all", "training, out of fold, all"}
    assert all(one.auc > 0.9 for one in card.training.measured)
    report = json.loads((package.parent / "run.json").read_text())
    assert report["localizer"] == "volume-mil"
    assert report["seconds"] > 0
    assert not (package.parent / "features").exists()


def test_a_resumed_run_and_the_same_seed_give_the_same_package(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = phantoms.card("volume-cam")
    whole = packages.digest(fitted(data, tmp_path / "one", card))

    def killed(stage: str, done: int, count: int) -> None:
        if (stage, done) == ("features", 7):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, card, imagenet_weights(), tmp_path / "two", seed=0, advance=killed)
    with pytest.raises(RunError, match="--resume"):
        fitted(data, tmp_path / "two", card)
    assert packages.digest(fitted(data, tmp_path / "two", card, resume=True)) == whole


def test_masks_are_never_read(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*args: object) -> None:
        raise AssertionError("a mask was read")

    monkeypatch.setattr(folders, "masks_of", read)
    monkeypatch.setattr("models.data.volumes.nifti.read_nifti_mask", read)
    fitted(data, tmp_path, phantoms.card("volume-hirescam", zones=[2, 1, 1]))


def test_the_3d_cnn_is_trained_and_loaded_again(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.fitting.volumes.cnn3d.EPOCHS", (1,))
    folder = fitted(data, tmp_path, phantoms.cnn_card())
    found = packages.load(folder, "cpu").predict(phantoms.with_ball(1), phantoms.SPACING)
    assert found.saliency.shape == (1, *phantoms.SHAPE)
    assert np.isfinite(found.logits).all()


def test_what_cannot_be_trained_is_said(data: Path, tmp_path: Path) -> None:
    wrong = [
        (phantoms.card(), {"test": "train"}, "The split train cannot be the test, too"),
        (phantoms.card(), {"localizer": "cam"}, "no localizer named 'cam' to train on volumes; there are: volume-cam"),
        (phantoms.card(), {"test": "held"}, 'has no rows whose split is "held"'),
    ]
    for card, options, words in wrong:
        with pytest.raises(DataError, match=words):
            train(data, card, imagenet_weights(), tmp_path / "run", seed=0, advance=lambda *step: None, **options)
    few = phantoms.write_folder(tmp_path / "few", train=4, validation=2)
    with pytest.raises(DataError, match="Too few patients to train: 4, and 5 folds need 5"):
        train(few, phantoms.card(), imagenet_weights(), tmp_path / "run", seed=0, advance=lambda *step: None)


def test_the_command_trains_on_volumes_where_the_card_sees_volumes(data: Path, tmp_path: Path) -> None:
    pattern = Card.model_validate(phantoms.cnn_card().model_dump() | {"weights": {"sha256": "0" * 64}})
    (tmp_path / "pattern").mkdir()
    (tmp_path / "pattern" / "card.toml").write_text(card_text(pattern), encoding="utf-8")
    command = ["train", "--data", str(data), "--like", str(tmp_path / "pattern"), "--run", str(tmp_path / "run")]
    done = CliRunner().invoke(app, [*command, "--localizer", "cam"])
    assert done.exit_code == 1
    assert "to train on volumes; there are: volume-cam" in done.output.replace("\n", " ")


def test_a_card_of_volumes_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    changed = phantoms.card(zones=[2, 3, 4], batch=8).model_dump() | {"weights": {"sha256": "0" * 64}}
    card = Card.model_validate(changed)
    (tmp_path / "card.toml").write_text(card_text(card), encoding="utf-8")
    assert read_card(tmp_path / "card.toml") == card


def test_what_was_trained_on_simulated_lesions_raises_no_priority(tmp_path: Path) -> None:
    changed = phantoms.card().model_dump(exclude_none=True) | {"weights": {"sha256": "0" * 64}}
    point = {"data": "validation", "threshold": 0.9, "positives": 99, "negatives": 99, "sensitivity": 0.9,
             "specificity": 0.99, "auc": 0.95, "auc_interval": [0.9, 0.99], "raises_priority": True}  # fmt: skip
    changed["labels"][0]["triage"] = point
    for simulated in (False, True):
        changed["training"]["simulated"] = simulated
        if simulated:
            with pytest.raises(ValueError, match=r"simulated lesions may not claim raises_priority"):
                Card.model_validate(changed)
        else:
            (tmp_path / "card.toml").write_text(card_text(Card.model_validate(changed)), encoding="utf-8")
            read_card(tmp_path / "card.toml")


def test_slabs_fill_a_batch(tmp_path: Path) -> None:
    text = card_text(Card.model_validate(phantoms.card().model_dump() | {"weights": {"sha256": "0" * 64}}))
    (tmp_path / "card.toml").write_text(text.replace("batch = 16", "batch = 7"), encoding="utf-8")
    with pytest.raises(CardError, match=r"volume.batch must be a multiple of volume.slab"):
        read_card(tmp_path / "card.toml")
