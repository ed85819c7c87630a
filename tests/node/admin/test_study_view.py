"""One study as people see it: one view, in few queries of one read transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from node.admin import feedback
from node.admin.study_view import study_view
from node.ledger.engine import Ledger
from node.settings import Policy
from node.worklist.triage.decisions import Analysed, decide_study
from tests.node.phantoms import STUDY
from tests.node.web.conftest import FINDINGS, analyse, arrive


@pytest.fixture
def analysed(ledger: Ledger, tmp_path: Path) -> Ledger:
    arrive(ledger, PatientName="DOE^JANE", PatientID="HUSH4711")
    analyse(ledger, tmp_path)
    key = feedback.FindingKey(STUDY, 1, "chest-xray", "Effusion")
    with ledger.write() as connection:
        decide_study(connection, Analysed(STUDY, 1, FINDINGS), Policy(shadow=("chest-xray",)), 9.0)
        assert feedback.record(connection, key, feedback.Agreement.AGREE, 9.0)
    return ledger


@contextmanager
def statements(ledger: Ledger) -> Iterator[list[str]]:
    """The statements that are executed in the block."""
    found: list[str] = []

    def executed(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        found.append(statement)

    event.listen(ledger.engine, "before_cursor_execute", executed)
    try:
        yield found
    finally:
        event.remove(ledger.engine, "before_cursor_execute", executed)


def test_a_view_has_all_of_the_study(analysed: Ledger) -> None:
    with analysed.read() as connection:
        view = study_view(connection, STUDY)
    assert view is not None
    assert [item.priority.value for item in view.items] == ["HIGH"]
    assert [(row["label"], row["feedback"]) for row in view.findings] == [("Pneumothorax", ""), ("Effusion", "agree")]
    assert [row["label"] for row in view.pictures] == ["", "Pneumothorax"]
    assert view.silent == {"chest-xray"}
    story = view.as_json()
    assert story is not None
    assert (story["state"], story["priority"], story["instances"]) == ("analysed", "HIGH", 1)
    assert {key: len(story[key]) for key in ("findings", "results", "deliveries", "decisions", "notices")} == {
        "findings": 2, "results": 0, "deliveries": 0, "decisions": 1, "notices": 0,
    }  # fmt: skip
    assert story["decisions"][0]["at"] == "1970-01-01T00:00:09.000+00:00"
    assert "feedback" in [one["kind"] for one in story["events"]]
    assert "HUSH4711" not in str(story)


def test_a_view_is_one_statement_a_table(analysed: Ledger) -> None:
    with analysed.read() as connection, statements(analysed) as found:
        study_view(connection, STUDY)
    assert [statement.split()[0] for statement in found] == ["BEGIN", *["SELECT"] * 9]


def test_a_study_that_only_a_work_item_names_has_a_view(ledger: Ledger) -> None:
    arrive(ledger)
    with ledger.write() as connection:
        connection.exec_driver_sql("DELETE FROM instance")
        connection.exec_driver_sql("DELETE FROM study")
        view = study_view(connection, STUDY)
        assert view is not None
        assert (view.study, view.as_json(), len(view.items)) == (None, None, 1)
        assert study_view(connection, "1.2.3.4") is None
