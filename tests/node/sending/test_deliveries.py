from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import RowMapping, select

from node.backoff import FIRST_PAUSE, LONGEST_PAUSE, pause_after
from node.entities import JobState, ResultObject
from node.ledger import jobs
from node.ledger.engine import Ledger
from node.ledger.tables import RESULT
from node.receiving import instances
from node.sending import deliveries
from node.sending.deliveries import DELIVERY
from tests.node.phantoms import STUDY as UID
from tests.node.phantoms import result, stored

NOW, LEASE = 1000.0, 60.0
SEG, SR = result("2.25.1", "segmentation"), result("2.25.2", "statement")


@pytest.fixture
def study(ledger: Ledger) -> Ledger:
    """A ledger that knows the study."""
    with ledger.write() as connection:
        instances.record_instance(connection, stored(), "MODALITY", NOW)
    return ledger


def put(ledger: Ledger, results: Sequence[ResultObject], generation: int = 1, *peers: str) -> tuple[str, ...]:
    with ledger.write() as connection:
        return deliveries.put(connection, UID, generation, results, peers or ("pacs",), NOW)


def claim(ledger: Ledger, now: float = NOW, peer: str = "pacs") -> Sequence[RowMapping]:
    with ledger.write() as connection:
        return deliveries.claim(connection, UID, peer, now, LEASE)


def settle(ledger: Ledger, row: RowMapping, error: str = "", now: float = NOW) -> None:
    with ledger.write() as connection:
        deliveries.record_sent(connection, row, "pacs", error, now, jitter=0.5)


def due(ledger: Ledger, now: float = NOW, notified_before: float = NOW) -> list[tuple[str, str]]:
    with ledger.read() as connection:
        return list(deliveries.due(connection, now, notified_before))


def states(ledger: Ledger) -> list[tuple[str, str, str]]:
    query = select(DELIVERY.c.sop_instance_uid, DELIVERY.c.peer, DELIVERY.c.state).order_by(DELIVERY.c.id)
    with ledger.read() as connection:
        return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def test_pauses_grow_up_to_the_longest() -> None:
    pauses = [pause_after(attempts, 0.5) for attempts in range(1, 40)]
    assert pauses[:4] == [5.0, 15.0, 45.0, 135.0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
    assert (pause_after(1, 0.0), pause_after(1, 1.0)) == (0.75 * FIRST_PAUSE, 1.25 * FIRST_PAUSE)
    assert pause_after(10**6, 1.0) == 1.25 * LONGEST_PAUSE


def test_each_object_goes_to_each_peer(study: Ledger) -> None:
    assert sorted(put(study, [SEG, SR], 1, "pacs", "archive")) == ["archive", "pacs"]
    assert len(states(study)) == 4
    assert sorted(due(study)) == [(UID, "archive"), (UID, "pacs")]
    assert [row["kind"] for row in claim(study)] == ["segmentation", "statement"]


def test_identical_objects_are_not_sent_again(study: Ledger) -> None:
    put(study, [SEG, SR])
    for row in claim(study):
        settle(study, row)
    assert put(study, [SEG, SR], 2) == ()
    assert [state for _uid, _peer, state in states(study)] == ["delivered"] * 2
    assert (due(study, NOW + 1e6), claim(study, NOW + 1e6)) == ([], [])
    with study.read() as connection:
        assert connection.execute(select(RESULT.c.generation)).scalars().all() == [2, 2]
        assert deliveries.delivered_count(connection, UID, "pacs") == 2


def test_what_an_older_generation_still_had_is_superseded(study: Ledger) -> None:
    put(study, [SEG, SR])
    settle(study, claim(study)[0])
    newer = result("2.25.3", "segmentation")
    assert put(study, [newer], 2) == ("pacs",)
    assert states(study) == [
        ("2.25.1", "pacs", "delivered"), ("2.25.2", "pacs", "superseded"), ("2.25.3", "pacs", "pending")
    ]  # fmt: skip
    assert [row["sop_instance_uid"] for row in claim(study)] == ["2.25.3"]
    put(study, [SR], 3)  # and back: it was never sent, so it is sent now
    assert [row["sop_instance_uid"] for row in claim(study)] == ["2.25.2"]


def test_a_generation_without_results_supersedes_all(study: Ledger) -> None:
    put(study, [SEG])
    assert put(study, [], 2) == ()
    assert [state for _uid, _peer, state in states(study)] == ["superseded"]


def test_a_claim_is_exclusive_until_its_lease_ends(study: Ledger) -> None:
    put(study, [SEG])
    assert [len(claim(study)), len(claim(study)), len(claim(study, peer="other"))] == [1, 0, 0]
    assert due(study, NOW + LEASE) == []
    assert due(study, NOW + LEASE + 1, NOW + LEASE) == [(UID, "pacs")]
    assert len(claim(study, NOW + LEASE + 1)) == 1


def test_a_failure_is_tried_again_after_a_growing_pause(study: Ledger) -> None:
    put(study, [SEG])
    now, pauses = NOW, []
    for _attempt in range(4):
        (row,) = claim(study, now)
        settle(study, row, "refused with status 0xA700", now)
        with study.read() as connection:
            then = connection.execute(select(DELIVERY.c.next_attempt_at)).scalar_one()
        assert (due(study, then - 0.1, then), claim(study, then - 0.1)) == ([], [])
        assert due(study, then, then) == [(UID, "pacs")]
        pauses.append(then - now)
        now = then
    assert pauses == [5.0, 15.0, 45.0, 135.0]
    with study.read() as connection:
        assert connection.execute(select(DELIVERY.c.last_error)).scalar_one() == "refused with status 0xA700"
        assert deliveries.undelivered(connection) == 1


def test_retry_makes_due_at_once(study: Ledger) -> None:
    put(study, [SEG, SR])
    first, second = claim(study)
    settle(study, first, "unreachable")
    settle(study, second)
    assert due(study) == []
    with study.write() as connection:
        assert jobs.retry(connection, UID, NOW) == 1
        assert jobs.retry(connection, "1.9", NOW) == 0
    assert due(study) == [(UID, "pacs")]
    assert [row["attempts"] for row in claim(study)] == [1]


def test_workers_are_notified_once_until_the_message_counts_as_lost(study: Ledger) -> None:
    put(study, [SEG])
    with study.write() as connection:
        deliveries.mark_notified(connection, UID, "pacs", NOW + 1)
    assert due(study, NOW + 5, NOW - 5) == []
    assert due(study, NOW + 12, NOW + 2) == [(UID, "pacs")]


def planned(ledger: Ledger, plan: dict[str, JobState], *results: ResultObject, generation: int = 1) -> None:
    """Put objects by a plan of their kinds."""
    with ledger.write() as connection:
        deliveries.put(connection, UID, generation, results, ["pacs"], NOW, lambda _peer, kind: plan.get(kind))


PLAN = {"segmentation": JobState.PENDING, "capture": JobState.STANDBY}
CAPTURE, FAULTY = result("2.25.4", "capture"), replace(SEG, fault="It is broken.")


def kinds(ledger: Ledger) -> dict[str, str]:
    query = select(RESULT.c.kind, DELIVERY.c.state).join(
        DELIVERY, RESULT.c.sop_instance_uid == DELIVERY.c.sop_instance_uid
    )
    with ledger.read() as connection:
        return {row.kind: row.state for row in connection.execute(query)}


def test_a_peer_gets_what_is_planned_for_it_and_what_stands_by_is_not_due(study: Ledger) -> None:
    planned(study, PLAN, SEG, SR, CAPTURE)
    assert kinds(study) == {"segmentation": "pending", "capture": "standby"}
    assert [row["kind"] for row in claim(study)] == ["segmentation"]
    with study.read() as connection:
        assert deliveries.undelivered(connection) == 1
    with study.write() as connection:
        assert deliveries.send_fallback(connection, UID, "pacs", "chest-xray", "capture", NOW) == 1
        assert deliveries.send_fallback(connection, UID, "pacs", "chest-xray", "capture", NOW) == 0
    assert [row["kind"] for row in claim(study)] == ["capture"]


def test_what_is_refused_is_not_tried_again_but_by_hand(study: Ledger) -> None:
    planned(study, PLAN, SEG, CAPTURE)
    (row,) = claim(study)
    with study.write() as connection:
        deliveries.refuse(connection, row, "pacs", "it does not take the class", NOW)
        assert deliveries.states_of_kinds(connection, UID, "pacs", "chest-xray") == {
            "segmentation": {"refused"}, "capture": {"standby"}
        }  # fmt: skip
    assert (due(study, NOW + 1e6), claim(study, NOW + 1e6)) == ([], [])
    planned(study, PLAN, SEG, CAPTURE, generation=2)
    assert kinds(study) == {"segmentation": "refused", "capture": "standby"}
    with study.write() as connection:
        assert jobs.retry(connection, UID, NOW) == 1
    assert kinds(study)["segmentation"] == "pending"


def test_what_is_quarantined_is_never_due_and_sent_when_it_is_whole(study: Ledger) -> None:
    planned(study, PLAN, FAULTY, CAPTURE)
    assert kinds(study) == {"segmentation": "quarantined", "capture": "standby"}
    assert (due(study, NOW + 1e6), claim(study, NOW + 1e6)) == ([], [])
    with study.write() as connection:
        assert jobs.retry(connection, UID, NOW) == 0
        assert connection.execute(select(DELIVERY.c.last_error)).scalars().first() == "It is broken."
    planned(study, PLAN, SEG, CAPTURE, generation=2)
    assert kinds(study)["segmentation"] == "pending"


def test_what_only_failed_replaces_nothing(study: Ledger) -> None:
    put(study, [SEG])
    planned(study, PLAN, replace(SR, kind="segmentation", fault="It is broken."), generation=2)
    assert [state for _uid, _peer, state in states(study)] == ["pending", "quarantined"]


def test_a_newer_generation_supersedes_what_stood_by(study: Ledger) -> None:
    planned(study, PLAN, SEG, CAPTURE)
    planned(study, PLAN, replace(CAPTURE, sop_instance_uid="2.25.5"), generation=2)
    assert [state for _uid, _peer, state in states(study)] == ["superseded", "superseded", "standby"]
    with study.read() as connection:  # of the newest generation alone
        assert deliveries.states_of_kinds(connection, UID, "pacs", "chest-xray") == {"capture": {"standby"}}
