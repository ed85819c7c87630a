from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from models.data.datasets import read_examples
from models.errors import DataError
from models.report_labels.labeler import Assertion, Labeler
from models.report_labels.labelfile import split_of, write_labels, write_reasons
from models.report_labels.readers import RadiologyReport
from models.report_labels.rules import read_rules

LABELER = Labeler(read_rules())


def report(patient: str, text: str, **columns: str) -> RadiologyReport:
    return RadiologyReport(f"{patient}.png", patient, (f"{patient}.png",), text, columns)


def write(
    path: Path, *reports: RadiologyReport, uncertain: Assertion = Assertion.ABSENT, validation: float = 0.5
) -> int:
    labeled = [(one, LABELER.label(one.text)) for one in reports]
    return write_labels(path, labeled, LABELER.names, uncertain, validation)


def test_training_reads_what_is_written(tmp_path: Path) -> None:
    reports = [report("1", "Mass.", split="train"), report("2", "No mass, but edema.", split="train", view="AP")]
    assert write(tmp_path / "labels.csv", *reports, report("3", "Mass.", split="validation")) == 3
    examples = read_examples(tmp_path, "train", LABELER.names)
    found = [[name for name, true in zip(examples.labels, row, strict=True) if true] for row in examples.truth]
    assert found == [["Mass"], ["Edema"]]
    assert [path.name for path in examples.files] == ["1.png", "2.png"]
    assert examples.metadata[1, 0] == 1  # view AP was passed on
    assert len(read_examples(tmp_path, "validation", LABELER.names)) == 1
    assert "edema" not in (tmp_path / "labels.csv").read_text()  # the report's text stays where it was


def test_uncertain_is_what_one_chose(tmp_path: Path) -> None:
    for uncertain, value in ((Assertion.ABSENT, "0"), (Assertion.PRESENT, "1")):
        write(tmp_path / "labels.csv", report("1", "Possible mass."), uncertain=uncertain)
        with (tmp_path / "labels.csv").open() as stream:
            (row,) = csv.DictReader(stream)
        assert (row["Mass"], row["No_Finding"]) == (value, "0")


def test_a_patient_is_on_one_side_always() -> None:
    patients = [str(number) for number in range(2000)]
    share = sum(split_of(patient, 0.2) == "validation" for patient in patients) / len(patients)
    assert 0.17 < share < 0.23
    assert {split_of(patient, 0.0) for patient in patients} == {"train"}
    assert all(split_of(patient, 0.5) == "validation" for patient in patients if split_of(patient, 0.2) == "validation")


def test_a_label_column_in_the_reports_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has a column Mass of its own"):
        write(tmp_path / "labels.csv", report("1", "Mass.", Mass="0"))
    with pytest.raises(DataError, match="cannot be written"):
        write(tmp_path / "none" / "labels.csv", report("1", "Mass."))


def test_reasons_name_sentence_and_cue(tmp_path: Path) -> None:
    one = report("1", "The heart is fine. No mass.")
    write_reasons(tmp_path / "why.jsonl", [(one, LABELER.label(one.text))])
    line = json.loads((tmp_path / "why.jsonl").read_text())
    assert line["images"] == ["1.png"]
    assert line["labels"] == {"Mass": {"answer": "absent", "words": "mass", "cue": "no", "sentence": "No mass."}}
    with pytest.raises(DataError, match="cannot be written"):
        write_reasons(tmp_path / "none" / "why.jsonl", [])
