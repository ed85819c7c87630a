"""The study's page reads one view of the ledger, and waits for nobody who writes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from threading import current_thread
from typing import Any

import pytest
from sqlalchemy import event

from node.entities import Part
from node.ledger import deletion
from node.ledger.engine import SQLITE, Ledger
from node.retention.deleting import Deleter
from tests.node.audit.test_recorder import told
from tests.node.phantoms import STUDY
from tests.node.web.conftest import Site, analyse, arrive
from tests.waiting import at_most

PAGES = (f"/study/{STUDY}", f"/study/{STUDY}/panel", "/picture/1", "/", "/status")


@pytest.fixture
def analysed(site: Site, ledger: Ledger) -> Site:
    arrive(ledger, PatientID="HUSH4711")
    analyse(ledger, site.context.settings.node.data)
    return site


@pytest.fixture
def locked(analysed: Site) -> Iterator[sqlite3.Connection]:
    """Another process holds the ledger's write lock."""
    file = analysed.context.settings.node.data / SQLITE
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def test_every_page_is_shown_while_another_holds_the_write_lock(analysed: Site, locked: sqlite3.Connection) -> None:
    begin = time.monotonic()
    for path in PAGES:
        assert analysed.client.get(path).status_code == 200
    assert time.monotonic() - begin < at_most(5)
    assert told(analysed.context.ledger) == []
    locked.execute("COMMIT")
    analysed.recorded()
    assert len(told(analysed.context.ledger)) == 2  # the study with its picture, and the worklist


def test_no_page_waits_for_the_audit_trail_nor_reads_a_file_for_it(
    analysed: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()

    def patient_ids(*_: object) -> tuple[str, ...]:
        threads.add(current_thread().name)
        return ("HUSH4711",)

    monkeypatch.setattr("node.audit.recorder.patient_ids", patient_ids)
    assert analysed.client.get(f"/study/{STUDY}").status_code == 200
    analysed.recorded()
    assert [name.startswith("web-audit") for name in threads] == [True]


@pytest.mark.parametrize("path", PAGES[:2])
def test_a_page_is_one_read_transaction_of_few_statements(analysed: Site, path: str) -> None:
    statements: list[str] = []

    def executed(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if not current_thread().name.startswith("web-audit"):
            statements.append(statement)

    event.listen(analysed.context.ledger.engine, "before_cursor_execute", executed)
    assert analysed.client.get(path).status_code == 200
    assert [statement.split()[0] for statement in statements] == ["BEGIN", *["SELECT"] * 9]


def test_the_page_shows_each_finding_with_its_threshold(analysed: Site) -> None:
    page = analysed.client.get(f"/study/{STUDY}").text
    assert page.count("threshold 50.0") == page.count("threshold 40.0") == 1
    assert page.index("Pneumothorax") < page.index("Effusion")  # the present ones first


def test_a_study_whose_images_are_gone_says_when_and_why_and_shows_its_findings(analysed: Site) -> None:
    context = analysed.context
    with context.ledger.write() as connection:
        assert deletion.begin(connection, STUDY, (Part.IMAGES, Part.PICTURES), "retention", "pacs has them", 0.0)
    deleter = Deleter(context.ledger, context.settings.node.data, context.audit, lambda: 1_800_000_000.0)
    while deleter.step(STUDY):
        pass
    shown = analysed.client.get(f"/study/{STUDY}").text
    assert "The images were deleted on 2027-01-15 (1 instance, by retention: pacs has them): read the study in" in shown
    assert "Pneumothorax" in shown
    assert "No picture" not in shown
    assert "is not kept any more" in analysed.client.get("/picture/1").text
