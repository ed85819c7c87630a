"""Jobs: due, held under a lease, postponed with growing pauses, in order, listed, tried again by hand, expired."""

from __future__ import annotations

import pytest
from sqlalchemy import RowMapping, select
from sqlalchemy.exc import IntegrityError

from node.entities import JobKind, JobState
from node.errors import OutOfResources
from node.ledger import jobs
from node.ledger.engine import Ledger
from node.ledger.jobs import LEASE, NewJob
from node.ledger.tables import EVENT, JOB

KIND, NOW = JobKind.DELIVERY, 1000.0


def put(ledger: Ledger, lane: str = "pacs", key: str | None = None, study: str = "1.2", now: float = NOW) -> int:
    with ledger.write() as connection:
        return jobs.put(connection, NewJob(KIND, lane, key, study), now)


def found(ledger: Ledger, now: float = NOW, lane: str | None = None) -> list[int]:
    with ledger.read() as connection:
        return [row["id"] for row in jobs.find(connection, jobs.due(KIND, now, lane))]


def row(ledger: Ledger, job_id: int) -> RowMapping:
    with ledger.read() as connection:
        return jobs.find(connection, JOB.c.id == job_id)[0]


def test_jobs_are_due_in_the_order_in_which_they_were_put(ledger: Ledger) -> None:
    ids = [put(ledger, lane) for lane in ("pacs", "archive", "pacs")]
    assert (found(ledger), found(ledger, lane="pacs"), found(ledger, NOW - 1)) == (ids, [ids[0], ids[2]], [])
    with ledger.read() as connection:
        assert sorted(jobs.lanes(connection, jobs.due(KIND, NOW))) == ["archive", "pacs"]


def test_an_id_is_never_given_twice(ledger: Ledger) -> None:
    first = put(ledger)
    with ledger.write() as connection:
        jobs.remove(connection, JOB.c.id == first)
    assert put(ledger) > first


def test_a_key_is_there_once_in_its_lane(ledger: Ledger) -> None:
    put(ledger, key="2.25.1")
    put(ledger, "archive", key="2.25.1")
    with pytest.raises((IntegrityError, OutOfResources)):
        put(ledger, key="2.25.1")
    assert len({put(ledger), put(ledger)}) == 2  # without a key each is another one


def test_what_is_held_is_not_due_until_its_lease_ends_and_the_holder_extends_it(ledger: Ledger) -> None:
    held, free = put(ledger), put(ledger)
    with ledger.write() as connection:
        jobs.hold(connection, [held], NOW + LEASE)
    assert found(ledger, NOW + LEASE) == [free]
    with ledger.write() as connection:
        jobs.extend(connection, [held, free], NOW + 2 * LEASE)
    assert found(ledger, NOW + 2 * LEASE) == [free]  # nobody held the other one: it is not taken by that
    assert found(ledger, NOW + 2 * LEASE + 1) == [held, free]


def test_what_fails_is_due_again_after_a_growing_pause_and_listed(ledger: Ledger) -> None:
    job_id, now, pauses = put(ledger), NOW, []
    for _attempt in range(6):
        with ledger.write() as connection:
            pauses.append(jobs.postpone(connection, job_id, len(pauses), "down", now, longest=100.0, jitter=0.5))
        assert found(ledger, now + pauses[-1] - 0.1) == []
        now += pauses[-1]
        assert found(ledger, now) == [job_id]
    assert pauses == [5.0, 15.0, 45.0, 100.0, 100.0, 100.0]
    with ledger.read() as connection:
        (listed,) = jobs.troubled(connection, 10)
    assert (listed["kind"], listed["lane"], listed["attempts"], listed["last_error"]) == ("delivery", "pacs", 6, "down")
    assert "payload" not in listed  # it may name the patient


def test_where_order_counts_a_job_waits_for_the_one_before_it(ledger: Ledger) -> None:
    first, _second = put(ledger), put(ledger)
    with ledger.write() as connection:
        assert jobs.lanes_in_order(connection, KIND, NOW) == ("pacs",)
        pause = jobs.postpone(connection, first, 0, "down", NOW)
        assert jobs.lanes_in_order(connection, KIND, NOW) == ()
        assert jobs.lanes_in_order(connection, KIND, NOW + pause) == ("pacs",)


def test_retry_makes_due_what_waits_or_was_refused_and_leaves_what_is_done(ledger: Ledger) -> None:
    ids = [put(ledger) for _ in range(4)]
    other = put(ledger, study="1.3")
    states = (JobState.PENDING, JobState.REJECTED, JobState.DELIVERED, JobState.STORED)
    with ledger.write() as connection:
        for job_id, state in zip([*ids, other], [*states, JobState.REJECTED], strict=True):
            jobs.change(connection, JOB.c.id == job_id, state=state, due_at=NOW + 100)
        assert jobs.retry(connection, "1.2", NOW) == 3
        assert connection.execute(select(EVENT.c.detail)).scalars().all() == ["2 deliveries made due by hand"]
    assert [(row(ledger, one)["state"], row(ledger, one)["due_at"]) for one in [*ids, other]] == [
        ("pending", NOW), ("pending", NOW), ("delivered", NOW + 100), ("stored", NOW), ("rejected", NOW + 100)
    ]  # fmt: skip


def test_what_is_too_old_is_dropped_and_counted_by_lane(ledger: Ledger) -> None:
    for lane, now in (("pacs", NOW), ("pacs", NOW), ("archive", NOW), ("archive", NOW + 2)):
        put(ledger, lane, now=now)
    assert jobs.drop_older(ledger, KIND, NOW) == {}
    assert jobs.drop_older(ledger, KIND, NOW + 1) == {"pacs": 2, "archive": 1}
    assert len(found(ledger, NOW + 2)) == 1
