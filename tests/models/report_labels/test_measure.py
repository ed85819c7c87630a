from __future__ import annotations

import math
from pathlib import Path

import pytest

from models.errors import DataError
from models.report_labels.labeler import Assertion, Labeler
from models.report_labels.measure import Agreement, agreement
from models.report_labels.rules import read_rules
from models.report_labels.truth import read_columns, read_truth

LABELER = Labeler(read_rules())
REPORTS = {"1": "Mass. Edema.", "2": "Mass.", "3": "Possible mass.", "4": "No mass.", "5": ""}
HEADER = "report," + ",".join(LABELER.names[:-1])


def measured(path: Path, text: str, uncertain: Assertion = Assertion.ABSENT) -> Agreement:
    path.write_text(text, encoding="utf-8")
    labeled = {name: LABELER.label(report) for name, report in REPORTS.items()}
    return agreement(labeled, read_truth(path, LABELER.names), uncertain)


def row(name: str, *present: str) -> str:
    return f"\n{name}," + ",".join(str(int(label in present)) for label in LABELER.names[:-1])


def test_counts_by_hand(tmp_path: Path) -> None:
    text = HEADER + row("1.xml", "Mass") + row("2.xml") + row("3.xml", "Mass") + row("4.xml") + row("9.xml", "Mass")
    got = measured(tmp_path / "truth.csv", text)
    by_name = {score.label: score for score in got.scores}
    assert (got.reports, got.without_report) == (4, 1)
    mass = by_name["Mass"]
    assert (mass.positives, mass.precision, mass.recall, mass.f1) == (2, 0.5, 0.5, 0.5)
    assert (by_name["Edema"].precision, by_name["Edema"].recall, by_name["Edema"].f1) == (0.0, None, 0.0)
    assert (by_name["Hernia"].f1, by_name["Hernia"].interval) == (None, None)
    none = by_name["No_Finding"]  # true of 2 and 4, said of 4
    assert (none.positives, none.precision, none.recall) == (2, 1.0, 0.5)
    assert got.micro.f1 == 0.4  # 1 hit, 2 false, 1 missed
    assert got.macro.f1 == 0.25  # Mass and Edema alone have an F1
    assert got.micro_with_no_finding.f1 == pytest.approx(4 / 8, abs=1e-4)
    assert mass.interval is not None
    assert mass.interval[0] <= 0.5 <= mass.interval[1]


def test_uncertain_counts_as_chosen_and_no_text_counts_as_nothing(tmp_path: Path) -> None:
    got = measured(tmp_path / "truth.csv", HEADER + row("3", "Mass") + row("5"), Assertion.PRESENT)
    by_name = {score.label: score for score in got.scores}
    assert by_name["Mass"].f1 == 1.0
    assert by_name["No_Finding"].recall == 0.0  # nothing was read, so nothing is said


def test_a_truth_of_some_labels_measures_those(tmp_path: Path) -> None:
    got = measured(tmp_path / "truth.csv", "report,Mass\n1,1\n2,1.0\n4,0\n")
    assert [score.label for score in got.scores] == ["Mass"]
    assert got.micro.f1 == 1.0
    assert got.micro.interval == (1.0, 1.0)
    assert not math.isnan(got.macro.f1 or 0.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("report,Hut\n1,1\n", "no column of a label; give --columns openi"),
        ("report,Mass\n", "has no rows"),
        ("report,Mass\n1,\n", 'column Mass holds ""; it must be 0 or 1'),
        ("report,Mass\n77,1\n", 'no report of the truth is there; it names reports like "77"'),
    ],
)
def test_a_truth_that_cannot_be_used_is_said(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        measured(tmp_path / "truth.csv", text)


def test_columns_are_mapped(tmp_path: Path) -> None:
    path, columns = tmp_path / "truth.csv", tmp_path / "mine.toml"
    path.write_text("report,lump,tumour\n1,0,1\n2,0,0\n", encoding="utf-8")
    columns.write_text('[columns]\nMass = ["lump", "tumour"]\n', encoding="utf-8")
    truth = read_truth(path, LABELER.names, read_columns(str(columns)))
    assert (truth.reports, truth.labels, truth.values.tolist()) == (("1", "2"), ("Mass",), [[True], [False]])
    columns.write_text('[columns]\nMass = ["bump"]\n', encoding="utf-8")
    with pytest.raises(DataError, match="has no column bump"):
        read_truth(path, LABELER.names, read_columns(str(columns)))
    columns.write_text('[columns]\nFracture = ["lump"]\n', encoding="utf-8")
    with pytest.raises(DataError, match="Fracture is no label"):
        read_truth(path, LABELER.names, read_columns(str(columns)))
    with pytest.raises(DataError, match="give the word openi"):
        read_columns("none")
    with pytest.raises(DataError, match="cannot be read as a truth"):
        read_truth(tmp_path / "none.csv", LABELER.names)


def test_the_shipped_columns_are_of_every_finding() -> None:
    assert tuple(read_columns("openi")) == LABELER.names[:-1]
