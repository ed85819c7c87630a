from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import RowMapping, insert, select

from node.dispatch import notifications
from node.entities import HIGH, MEDIUM, AnalysisReport, FoundFinding, JobKind, StudyState
from node.ledger import jobs, studies
from node.ledger.engine import Ledger
from node.ledger.tables import EVENT, FINDING, STUDY
from node.receiving import instances
from node.receiving.instances import Recorded
from node.sending import deliveries
from node.worklist.events import writing
from node.worklist.items import rows
from node.worklist.items.priority import Priority, Source
from node.worklist.items.states import State
from node.worklist.reading import work_items
from tests.node.phantoms import STUDY as UID
from tests.node.phantoms import result, stored

NOW, LEASE = 1000.0, 60.0


def record(ledger: Ledger, sop_instance_uid: str = "1.1", sha256: str = "a" * 64, now: float = NOW) -> Recorded:
    with ledger.write() as connection:
        return instances.record_instance(connection, stored(sop_instance_uid, sha256), "MODALITY", now)


def study(ledger: Ledger) -> RowMapping:
    with ledger.read() as connection:
        return connection.execute(select(STUDY)).mappings().one()


def analysis(ledger: Ledger) -> RowMapping | None:
    """The job, while the study waits for its analysis or is analysed."""
    with ledger.read() as connection:
        return next(iter(jobs.find(connection, jobs.of(JobKind.ANALYSIS))), None)


def story(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        return list(connection.execute(select(EVENT.c.kind).order_by(EVENT.c.id)).scalars())


def receiving(ledger: Ledger) -> Sequence[RowMapping]:
    with ledger.read() as connection:
        return studies.receiving(connection)


def complete(ledger: Ledger, now: float = NOW) -> bool:
    (row,) = receiving(ledger)
    with ledger.write() as connection:
        return studies.complete(connection, row, "quiet", now)


def claim(ledger: Ledger, generation: int = 1, now: float = NOW) -> bool:
    with ledger.write() as connection:
        return studies.claim(connection, UID, generation, now, LEASE)


def finish(ledger: Ledger, generation: int, report: AnalysisReport, now: float = NOW) -> bool:
    with ledger.write() as connection:
        return studies.finish(connection, UID, generation, report, now)


def analysed(ledger: Ledger) -> None:
    """The study of one instance, analysed, with one object of ours that waits for the PACS."""
    record(ledger)
    complete(ledger)
    claim(ledger)
    assert finish(ledger, 1, AnalysisReport(StudyState.ANALYSED))
    with ledger.write() as connection:
        deliveries.put(connection, UID, 1, [result("2.25.1")], ["pacs"], NOW)


def test_the_first_instance_opens_the_study_and_the_next_joins(ledger: Ledger) -> None:
    assert record(ledger) == Recorded(new=True, conflict=False, generation=1)
    assert record(ledger, "1.2", now=NOW + 1) == Recorded(new=True, conflict=False, generation=1)
    row = study(ledger)
    assert (row["state"], row["first_received_at"], row["last_received_at"]) == ("receiving", NOW, NOW + 1)
    assert [row["instances"] for row in receiving(ledger)] == [2]
    assert story(ledger) == ["receiving"]


def test_the_same_content_again_changes_nothing(ledger: Ledger) -> None:
    record(ledger)
    assert record(ledger, now=NOW + 5) == Recorded(new=False, conflict=False, generation=1)
    assert study(ledger)["last_received_at"] == NOW


def test_a_study_that_grew_meanwhile_is_not_complete(ledger: Ledger) -> None:
    record(ledger)
    (row,) = receiving(ledger)
    record(ledger, "1.2", now=NOW + 1)
    with ledger.write() as connection:
        assert not studies.complete(connection, row, "quiet", NOW + 2)
    assert complete(ledger)
    assert (study(ledger)["state"], study(ledger)["evidence"]) == ("queued", "quiet")


def test_a_late_image_opens_the_next_generation(ledger: Ledger) -> None:
    analysed(ledger)
    assert record(ledger, "1.2", now=NOW + 9) == Recorded(new=True, conflict=False, generation=2, reopened=True)
    row = study(ledger)
    assert (row["generation"], row["state"], analysis(ledger), row["finished_at"]) == (2, "receiving", None, None)
    assert story(ledger)[-1] == "late images"


def test_only_what_a_peer_has_is_a_predecessor(ledger: Ledger) -> None:
    def named() -> list[str]:
        with ledger.read() as connection:
            return [row["sop_instance_uid"] for row in studies.predecessors(connection, UID, 2)]

    analysed(ledger)
    assert named() == []  # it waits: the next generation takes its place
    with ledger.write() as connection:
        (row,) = deliveries.claim(connection, UID, "pacs", NOW, LEASE)
    assert named() == ["2.25.1"]  # it is on its way
    with ledger.write() as connection:
        deliveries.record_sent(connection, row, "pacs", "", NOW)
    assert named() == ["2.25.1"]


def test_our_own_result_that_comes_back_opens_none(ledger: Ledger) -> None:
    analysed(ledger)
    assert record(ledger, "2.25.1", now=NOW + 9) == Recorded(new=True, conflict=False, generation=1)
    assert (study(ledger)["state"], study(ledger)["last_received_at"]) == ("analysed", NOW)


def test_a_conflict_opens_none_and_is_never_analysed(ledger: Ledger) -> None:
    analysed(ledger)
    assert record(ledger, sha256="b" * 64) == Recorded(new=True, conflict=True, generation=1)
    assert record(ledger, sha256="b" * 64) == Recorded(new=False, conflict=True, generation=1)
    assert study(ledger)["state"] == "analysed"
    assert story(ledger)[-1] == "conflict"
    with ledger.read() as connection:
        assert [row["sha256"] for row in studies.inputs(connection, UID)] == ["a" * 64]


def test_conflicts_and_own_results_do_not_count_as_instances(ledger: Ledger) -> None:
    analysed(ledger)
    record(ledger, "1.2")
    record(ledger, "1.2", sha256="b" * 64)
    record(ledger, "2.25.1")
    assert [row["instances"] for row in receiving(ledger)] == [2]


def test_a_claim_is_exclusive(ledger: Ledger) -> None:
    record(ledger)
    assert not claim(ledger)  # it still receives
    complete(ledger)
    assert not claim(ledger, generation=2)
    assert [claim(ledger), claim(ledger)] == [True, False]
    job = analysis(ledger)
    assert job is not None
    assert (study(ledger)["state"], job["lease_until"], job["attempts"]) == ("analysing", NOW + LEASE, 1)


def test_a_lost_lease_is_queued_again_and_fails_in_the_end(ledger: Ledger) -> None:
    record(ledger)
    complete(ledger)
    now = NOW
    for attempt in range(1, studies.MOST_ATTEMPTS + 1):
        assert claim(ledger, now=now)
        with ledger.write() as connection:
            studies.release_lost(connection, now + LEASE)  # not over yet
        assert study(ledger)["state"] == "analysing"
        now += LEASE + 1
        with ledger.write() as connection:
            studies.release_lost(connection, now)
        assert study(ledger)["state"] == ("queued" if attempt < studies.MOST_ATTEMPTS else "failed")
    assert "died 3 times" in study(ledger)["reason"]
    assert story(ledger)[-1] == "failed"
    with ledger.write() as connection:
        assert studies.retry(connection, UID, now)
        assert not studies.retry(connection, UID, now)
    job = analysis(ledger)
    assert job is not None
    assert (study(ledger)["state"], job["attempts"], study(ledger)["reason"]) == ("queued", 0, "")


def test_a_renewed_lease_is_not_lost(ledger: Ledger) -> None:
    record(ledger)
    complete(ledger)
    claim(ledger)
    with ledger.write() as connection:
        studies.extend(connection, UID, 1, NOW + 10 * LEASE)
        assert studies.lost(connection, NOW + 2 * LEASE) == []


def test_the_workers_are_notified_once_until_the_message_counts_as_lost(ledger: Ledger) -> None:
    record(ledger)
    complete(ledger)
    with ledger.write() as connection:
        assert len(notifications.unnotified(connection, NOW)) == 1
        notifications.mark_notified(connection, UID, 1, NOW)
        assert notifications.unnotified(connection, NOW) == []
        assert len(notifications.unnotified(connection, NOW + 10)) == 1


@pytest.mark.parametrize(
    ("change", "rank"),
    [
        ({}, HIGH),
        ({"state": State.IN_PROGRESS}, MEDIUM),
        ({"state": State.COMPLETED}, MEDIUM),
        ({"state": State.CANCELED}, MEDIUM),
        ({"source": Source.TRIAGE}, MEDIUM),
        ({"attributes": {}}, MEDIUM),  # not for reading
    ],
)
def test_only_an_unclaimed_reading_that_a_person_wants_at_once_is_urgent(
    ledger: Ledger, change: dict[str, Any], rank: int
) -> None:
    record(ledger)
    complete(ledger)
    header = Dataset()
    header.StudyInstanceUID = UID
    with ledger.write() as connection:
        item = rows.load(connection, work_items.ensure_item(connection, header, NOW))
        assert item is not None
        high = replace(item, priority=Priority.HIGH, source=Source.HUMAN)
        writing.save(connection, replace(high, **change), NOW)
        (row,) = notifications.unnotified(connection, NOW)
    assert row["rank"] == rank


def test_a_finished_analysis_is_written_down(ledger: Ledger) -> None:
    record(ledger)
    complete(ledger)
    claim(ledger)
    finding = FoundFinding("chest-xray", "pneumothorax", "probability", 0.9, 0.5, True, "left", "HIGH")
    left_out = (("1.1", "a localizer"), ("1.2", "a localizer"), ("1.3", "no pixels"))
    report = AnalysisReport(StudyState.ANALYSED, findings=(finding,), left_out=left_out, notes=("slow",))
    assert finish(ledger, 1, report, NOW + 5)
    with ledger.read() as connection:
        assert connection.execute(select(FINDING.c.label, FINDING.c.generation)).all() == [("pneumothorax", 1)]
        details = connection.execute(select(EVENT.c.detail).where(EVENT.c.kind == "left out")).scalars().all()
        assert studies.unfinished(connection) == 0
    assert details == ["2 instances: a localizer", "1 instance: no pixels"]
    assert (study(ledger)["state"], analysis(ledger), study(ledger)["finished_at"]) == (
        "analysed",
        None,
        NOW + 5,
    )


def test_an_analysis_that_was_overtaken_writes_nothing(ledger: Ledger) -> None:
    record(ledger)
    complete(ledger)
    claim(ledger)
    record(ledger, "1.2", now=NOW + 1)
    before = story(ledger)
    assert not finish(ledger, 1, AnalysisReport(StudyState.FAILED, "overtaken", notes=("n",)))
    assert (study(ledger)["state"], story(ledger)) == ("receiving", before)


def test_who_lost_its_lease_writes_nothing_so_that_a_generation_is_analysed_once(ledger: Ledger) -> None:
    record(ledger)
    complete(ledger)
    claim(ledger)
    with ledger.write() as connection:
        studies.release_lost(connection, NOW + LEASE + 1)
    assert not finish(ledger, 1, AnalysisReport(StudyState.ANALYSED), NOW + LEASE + 2)
    assert study(ledger)["state"] == "queued"
    assert claim(ledger, now=NOW + LEASE + 3)
    assert finish(ledger, 1, AnalysisReport(StudyState.ANALYSED), NOW + LEASE + 4)
    assert not finish(ledger, 1, AnalysisReport(StudyState.FAILED, "late"), NOW + LEASE + 5)
    assert (study(ledger)["state"], story(ledger).count("analysed")) == ("analysed", 1)


def test_what_is_postponed_waits_and_costs_no_attempt(ledger: Ledger) -> None:
    record(ledger)
    complete(ledger)
    for number in range(2 * studies.MOST_ATTEMPTS):
        assert claim(ledger)
        assert study(ledger)["reason"] == ""
        with ledger.write() as connection:
            assert studies.postpone(connection, UID, 1, NOW, NOW + 10, "waits, because") is (number == 0)
            assert not notifications.unnotified(connection, NOW, now=NOW + 9)
            assert notifications.unnotified(connection, NOW, now=NOW + 10)
        assert study(ledger)["reason"] == "waits, because"
    job = analysis(ledger)
    assert job is not None
    assert (study(ledger)["state"], job["attempts"], job["lease_until"]) == ("queued", 0, None)
    assert (story(ledger).count("analysing"), story(ledger).count("waits")) == (0, 1)


def test_an_attempt_that_counts_is_one_when_it_is_postponed(ledger: Ledger) -> None:
    record(ledger)
    complete(ledger)
    for number in range(1, studies.MOST_ATTEMPTS + 1):
        assert claim(ledger)
        with ledger.write() as connection:
            assert studies.under_way(connection, UID, 1) == number
            assert studies.under_way(connection, UID, 2) == 0
            studies.postpone(connection, UID, 1, NOW, NOW + 10, "waits", counts=True)
            assert studies.under_way(connection, UID, 1) == 0
    assert story(ledger).count("analysing") == studies.MOST_ATTEMPTS


def test_findings_of_an_older_generation_are_replaced(ledger: Ledger) -> None:
    analysed(ledger)
    with ledger.write() as connection:
        finding = FoundFinding("chest-xray", "mass", "score", 0.1, 0.5, False, "", "LOW")
        values = {field: getattr(finding, field) for field in FoundFinding.__slots__}
        connection.execute(insert(FINDING).values(study_instance_uid=UID, generation=1, **values))
    record(ledger, "1.2", now=NOW + 1)
    complete(ledger)
    claim(ledger, generation=2)
    assert finish(ledger, 2, AnalysisReport(StudyState.NOT_ANALYSED, "no model takes these images"))
    with ledger.read() as connection:
        assert connection.execute(select(FINDING)).all() == []
    assert study(ledger)["reason"] == "no model takes these images"
