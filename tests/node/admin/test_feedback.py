from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from node.admin import feedback
from node.admin.feedback import COLUMNS, Agreement, FindingKey
from node.admin.study_view import study_view
from node.entities import AnalysisReport, FoundFinding, StudyState
from node.ledger import studies
from node.ledger.engine import Ledger
from node.receiving import instances
from tests.node.phantoms import STUDY, claim, stored

FINDING = FoundFinding("chest-xray", "Pneumothorax", "probability", 0.93, 0.5, True, "left upper zone", "HIGH")


def analyse(ledger: Ledger, generation: int, finding: FoundFinding) -> None:
    with ledger.write() as connection:
        instances.record_instance(connection, stored(f"1.{generation}"), "MODALITY", float(generation))
        claim(connection, STUDY, generation)
        assert studies.finish(connection, STUDY, generation, AnalysisReport(StudyState.ANALYSED, "", (finding,)), 2.0)


def say(
    ledger: Ledger, verdict: Agreement | None, label: str = "Pneumothorax", now: float = 3.0, generation: int = 1
) -> bool:
    with ledger.write() as connection:
        return feedback.record(connection, FindingKey(STUDY, generation, "chest-xray", label), verdict, now)


def exported(ledger: Ledger) -> list[dict[str, str]]:
    text = io.StringIO()
    with ledger.read() as connection:
        count = feedback.export(connection, text)
    rows = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert text.getvalue().startswith(",".join(COLUMNS))
    assert len(rows) == count
    return rows


def test_nothing_said_is_a_line_of_names(ledger: Ledger) -> None:
    assert exported(ledger) == []


def test_the_last_word_on_a_finding_counts(ledger: Ledger) -> None:
    analyse(ledger, 1, FINDING)
    assert say(ledger, Agreement.AGREE)
    assert say(ledger, Agreement.DISAGREE, now=4.0)
    (row,) = exported(ledger)
    assert (row["verdict"], row["probability"], row["at"]) == ("disagree", "0.93", "1970-01-01T00:00:04.000+00:00")
    assert say(ledger, None)
    assert exported(ledger) == []


def test_feedback_outlives_its_finding(ledger: Ledger) -> None:
    analyse(ledger, 1, FINDING)
    say(ledger, Agreement.AGREE)
    analyse(ledger, 2, replace(FINDING, probability=0.2, present=False))
    with ledger.read() as connection:
        (finding,) = study_view(connection, STUDY).findings
    assert (finding["generation"], finding["feedback"]) == (2, "")
    assert [row["verdict"] for row in exported(ledger)] == ["agree"]
    assert say(ledger, Agreement.DISAGREE, now=5.0, generation=2)
    assert [(row["generation"], row["present"], row["verdict"]) for row in exported(ledger)] == [
        ("1", "yes", "agree"), ("2", "no", "disagree")
    ]  # fmt: skip


def test_a_word_on_a_finding_that_was_replaced_is_not_kept(ledger: Ledger) -> None:
    analyse(ledger, 1, FINDING)
    analyse(ledger, 2, replace(FINDING, probability=0.2, present=False))
    assert not say(ledger, Agreement.AGREE, generation=1)
    assert not say(ledger, None, generation=1)
    assert exported(ledger) == []


def test_what_was_not_found_has_no_verdict(ledger: Ledger) -> None:
    analyse(ledger, 1, FINDING)
    assert not say(ledger, Agreement.AGREE, "Fracture")


@pytest.mark.parametrize("label", ["=1+1", "+1", "-1", "@x"])
def test_a_spreadsheet_runs_nothing(ledger: Ledger, label: str) -> None:
    analyse(ledger, 1, replace(FINDING, label=label))
    say(ledger, Agreement.AGREE, label)
    assert exported(ledger)[0]["label"] == f"'{label}"
