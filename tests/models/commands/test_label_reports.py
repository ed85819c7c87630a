from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.commands.cli import app
from models.data.datasets import read_examples
from tests.models.shared_data import SHARED

OPENI = SHARED / "reports"
CSV = """image,patient,source,report
1.png,1,A,"FINDINGS: Effusion, no mass."
2.png,2,A,IMPRESSION: Possible mass.
3.png,3,B,INDICATION: cough
"""


def run(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["label-reports", *(str(word) for word in words)])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    path = tmp_path / "reports.csv"
    path.write_text(CSV, encoding="utf-8")
    return path


def test_a_csv_becomes_labels(reports: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.csv"
    code, shown, err = run(reports, "--out", out, "--validation", 0, "--explain", tmp_path / "why.jsonl")
    assert code == 0
    assert "2 images of 2 reports written" in err
    assert "1 report left out: no findings or impression" in err
    assert "not mentioned" in shown
    examples = read_examples(tmp_path, "train", ["Effusion", "Mass"])
    assert examples.truth.tolist() == [[True, False], [False, False]]
    assert examples.sources.tolist() == ["A", "A"]
    why = [json.loads(line) for line in (tmp_path / "why.jsonl").read_text().splitlines()]
    assert why[1]["labels"]["Mass"]["cue"] == "possible"


def test_uncertain_may_count_as_present(reports: Path, tmp_path: Path) -> None:
    run(reports, "--out", tmp_path / "labels.csv", "--validation", 0, "--uncertain", "present")
    assert read_examples(tmp_path, "train", ["Mass"]).truth.tolist() == [[False], [True]]


def test_a_folder_of_texts_becomes_labels(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "7.txt").write_text("Mass.", encoding="utf-8")
    code, shown, _ = run(tmp_path / "texts", "--out", tmp_path / "labels.csv", "--suffix", ".jpg", "--json")
    assert code == 0
    assert json.loads(shown)["Mass"] == {"present": 1, "uncertain": 0, "absent": 0, "not mentioned": 0}
    assert ",7.jpg,7," in (tmp_path / "labels.csv").read_text()


def test_nothing_is_written_over_unasked(reports: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.csv"
    out.write_text("mine")
    code, _, err = run(reports, "--out", out)
    assert code == 1
    assert "is there already; choose another name or give --replace" in err
    assert out.read_text() == "mine"
    assert run(reports, "--out", out, "--replace")[0] == 0


def test_without_anything_to_do_it_says_what_one_can_do(reports: Path) -> None:
    code, _, err = run(reports)
    assert code == 1
    assert "give --out labels.csv, --explain FILE or --measure TRUTH.csv" in err


def test_labels_are_measured(reports: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("image,Effusion,Mass\n1.png,1,0\n2.png,0,1\n8.png,0,0\n", encoding="utf-8")
    code, shown, _ = run(reports, "--measure", truth)
    assert code == 0
    assert "2 reports, uncertain counts as absent; 1 of the truth had no report" in shown
    measured = json.loads(run(reports, "--measure", truth, "--uncertain", "present", "--json")[1])
    assert measured["micro"]["f1"] == 1.0


@pytest.mark.skipif(not OPENI.is_dir(), reason="needs the Open-I reports and labels of ../shared/data/reports")
def test_micro_f_on_the_open_i_test_reports_is_090_or_more() -> None:
    truth = OPENI / "sarle" / "openi_test_set_ground_truth.csv"
    code, shown, _ = run(OPENI / "NLMCXR_reports.tgz", "--measure", truth, "--columns", "openi", "--json")
    assert code == 0
    measured = json.loads(shown)
    assert measured["reports"] == 1963
    assert measured["micro"]["f1"] >= 0.90
    assert measured["micro"]["interval"][0] >= 0.90


CT = """image,patient,report
1,1,"FINDINGS: New 12 mm nodule in the right upper lobe. No effusion."
2,2,"FINDINGS: 両側肺野に異常陰影を認めません。"
"""


def test_reports_of_ct_have_labels_and_locations_and_other_languages_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ct.csv").write_text(CT, encoding="utf-8")
    out, locations = tmp_path / "labels.csv", tmp_path / "locations.csv"
    code, _, err = run(tmp_path / "ct.csv", "--findings", "chest-ct", "--out", out, "--locations", locations)
    assert code == 0
    assert "1 report refused, the first is 2: the text seems to be in Japanese" in err
    assert len(out.read_text().splitlines()) == 2
    assert locations.read_text().splitlines() == [
        "report,label,assertion,location,side,comparison",
        "1,nodulegr1cm,present,right upper lobe,right,new",
        "1,nodule,present,right upper lobe,right,new",
    ]


def test_chinese_reports_are_labelled_and_rules_that_are_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "zh.csv").write_text("image,patient,report\n1,1,右侧气胸。\n", encoding="utf-8")
    code, shown, _ = run(tmp_path / "zh.csv", "--out", tmp_path / "labels.csv", "--json")
    assert code == 0
    assert json.loads(shown)["Pneumothorax"]["present"] == 1
    code, _, err = run(tmp_path / "zh.csv", "--out", tmp_path / "l.csv", "--language", "zh", "--findings", "chest-ct")
    assert code == 1
    assert "no rules of chest-ct for simplified Chinese" in err
    code, _, err = run(tmp_path / "zh.csv", "--out", tmp_path / "l.csv", "--language", "en")
    assert code == 1
    assert "no report was labelled" in err
