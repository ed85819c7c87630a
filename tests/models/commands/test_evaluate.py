from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models import packages
from models.cardfile import card_text
from models.commands.cli import app
from models.loaded import LoadedModel
from tests.models import bright, phantoms

pytest.importorskip("matplotlib", reason="needs PyPI matplotlib")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantoms.write_folder(tmp_path_factory.mktemp("data") / "phantom", train=20, validation=60)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands find and check the shipped package, and measure one without a network; the lungs are the shipped."""
    load = packages.load

    def quick(folder: Path, device: str = "auto", threads: int | None = None) -> LoadedModel:
        return load(folder, device, threads) if folder.name == "lungs" else bright.model()

    monkeypatch.setattr(packages, "load", quick)


def run(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


def test_evaluate_writes_a_report_and_does_not_write_over_it(data: Path, tmp_path: Path) -> None:
    words = ("evaluate", "chest-xray", "--data", data, "--out", tmp_path / "out")
    code, out, _ = run(*words)
    assert code == 0
    assert "report.html: written." in out
    assert "peak inside" in out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.html",
        "evaluation.json",
        "roc.png",
        "reliability.png",
        "froc.png",
    }
    code, _, err = run(*words)
    assert code == 1
    assert "already holds report.html" in err


def test_json_is_printed_alone_and_a_label_without_a_column_is_named(data: Path, tmp_path: Path) -> None:
    text = (data / "labels.csv").read_text()
    (tmp_path / "images").symlink_to(data / "images")
    (tmp_path / "labels.csv").write_text(text.replace("Disc", "Other"))
    code, out, _ = run("evaluate", "chest-xray", "--data", tmp_path, "--json")
    assert code == 0
    table = json.loads(out)
    assert (table["skipped"], {one["label"] for one in table["measured"]}) == (["Disc"], {"Half"})
    assert "no column for, and so not measured: Disc." in run("evaluate", "chest-xray", "--data", tmp_path)[1]


def test_baselines_are_printed_beside_the_package(data: Path) -> None:
    pytest.importorskip("skimage", reason="needs PyPI scikit-image")
    code, out, _ = run("evaluate", "chest-xray", "--data", data, "--baselines")
    assert code == 0
    for name in ("equalized", "CLAHE", "Canny", "centre box"):
        assert name in out


def test_markdown_has_the_baselines_and_the_operating_points(data: Path) -> None:
    code, out, _ = run("evaluate", "chest-xray", "--data", data, "--markdown", "--against", "chest-xray")
    assert code == 0
    assert "| finding | on | threshold | sensitivity | specificity | AUC | triage |\n| --- |" in out
    other = f"| phantom {bright.model().card.version} |"
    for words in ("| mean AUC | validation A, 2 labels |", "| metadata only |", "| a random point of the image |",
                  "| boxes of Disc at IoU 0.5 |", other, "| Half |"):  # fmt: skip
        assert words in out
    assert all(line.count("|") == 7 for line in out.splitlines() if line.startswith("| mean AUC"))


def test_operating_points_are_written_on_the_card_only_when_asked(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "phantom"
    folder.mkdir()
    given = bright.model().card
    (folder / "card.toml").write_text(card_text(given), encoding="utf-8")
    words = ("evaluate", folder, "--data", data, "--json")
    code, out, _ = run(*words)
    assert code == 0
    assert packages.load_card(folder) == given
    assert run(*words, "--update-card")[0] == 0
    points = {label.name: label.triage for label in packages.load_card(folder).labels}
    assert {label: point and point.model_dump(mode="json", exclude_none=True) for label, point in points.items()} == (
        json.loads(out)["triage"]
    )
    disc = points["Disc"]
    assert disc is not None and disc.raises_priority and disc.data == "validation A, B"
