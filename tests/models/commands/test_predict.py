from __future__ import annotations

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models import packages
from models.commands.cli import app
from tests.models import phantoms, volume_phantoms

SAMPLES = Path(__file__).parents[3] / "deploy" / "samples"


def run(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


def test_predict_writes_all_labels_of_all_images_and_exits_1_where_one_failed(tmp_path: Path) -> None:
    folder = phantoms.write_folder(tmp_path / "data", train=2, validation=0) / "images"
    package = phantoms.write_package(tmp_path)
    code, out, _ = run("predict", package, folder, "--out", tmp_path / "out", "--device", "cpu")
    assert code == 0
    assert "2 images predicted." in out
    with (tmp_path / "out" / "predictions.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 2 * 2
    assert (tmp_path / "out" / "saliency" / "001.png.npz").is_file()
    (folder / "broken.png").write_bytes(b"")
    code, out, err = run("predict", package, folder, "--out", tmp_path / "out", "--replace", "--device", "cpu")
    assert code == 1
    assert "2 images predicted, 1 not." in out
    assert "broken.png: not predicted." in err


def test_the_shipped_package_predicts_radiographs_and_names_what_shows_no_lungs(tmp_path: Path) -> None:
    images = [*SAMPLES.glob("chest-xray-*/*.dcm"), next((SAMPLES / "dog").glob("*.dcm"))]
    code, out, err = run("predict", "chest-xray", *images, "--out", tmp_path / "out", "--device", "cpu")
    assert code == 1
    assert "3 images predicted, 1 not." in out
    assert f"{images[-1]}: not predicted. no lungs seen: " in err.replace("\n", "")
    with (tmp_path / "out" / "predictions.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 3 * 14


@pytest.mark.parametrize("words", [("chest-xray", "nowhere"), ("nothing", ".")])
def test_what_is_not_there_is_said(tmp_path: Path, words: tuple[str, str]) -> None:
    code, _, err = run("predict", *words, "--out", tmp_path / "out")
    assert code == 1
    assert "readfirst models: There is no" in err
    assert not (tmp_path / "out").exists()


def test_volumes_are_predicted_and_counted_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "load", lambda folder, device: volume_phantoms.model())
    volume_phantoms.write_series(tmp_path / "in", "a", (8, 15, 12))
    words = ["predict", "chest-ct", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, done.stdout.strip().endswith("1 volume predicted.")) == (0, True)
    assert (tmp_path / "out" / "saliency" / "a.Nodule.nii.gz").is_file()
