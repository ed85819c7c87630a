from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models import packages
from models.commands.cli import app
from tests.models import volume_phantoms


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return volume_phantoms.write_unlabelled(tmp_path_factory.mktemp("volumes"))


@pytest.fixture(autouse=True)
def _phantom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "load", lambda folder, device: volume_phantoms.model())


def run(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["evaluate", "chest-ct", *(str(word) for word in words)])
    return done.exit_code, done.stdout, done.stderr


def test_tables_are_whole_when_nobody_looks_and_the_figures_are_written(data: Path, tmp_path: Path) -> None:
    code, out, _ = run("--data", data, "--out", tmp_path / "out")
    assert code == 0
    for words in ("peak inside", "within 10 mm", "the lungs themselves", "found at false marks a scan", "1/8"):
        assert words in out
    kept = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert [one["label"] for one in kept["located"]] == ["Nodule", "Mass", "all labels"]
    code, _, err = run("--data", data, "--out", tmp_path / "out")
    assert code == 1 and "already holds evaluation.json" in err


def test_json_and_markdown(data: Path) -> None:
    code, out, _ = run("--data", data, "--json")
    assert code == 0 and json.loads(out)["package"] == "chest-ct"
    code, out, _ = run("--data", data, "--markdown", "--against", "lungs")
    assert code == 0
    assert "| finding | method | lesions | present | found | false regions a scan | Dice | best Dice |" in out
    assert "| lesions at 8 false marks, Nodule | 3 volumes |" in out


def test_options_of_images_are_refused(data: Path) -> None:
    code, _, err = run("--data", data, "--update-card")
    assert code == 1 and "--update-card is for packages of images" in err
