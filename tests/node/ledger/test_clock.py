"""A clock that was set back an hour: nothing that waits, waits an hour longer; what was meant to wait still does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Table, select, update

from node.admission.associations import RELEASED
from node.backoff import pause_after
from node.commitment import requests
from node.commitment.messages import Request
from node.dispatch.broker import Broker
from node.dispatch.dispatcher import Dispatcher
from node.entities import JobKind, JobState, StudyState
from node.ledger import clock, jobs, studies
from node.ledger.engine import Ledger
from node.ledger.jobs import LEASE
from node.ledger.tables import JOB, STUDY
from node.receiving import instances
from node.sending import deliveries
from node.sending.deliveries import DELIVERY
from node.settings import Settings
from tests.node.admission.test_associations import opened
from tests.node.dispatch.test_dispatcher import broker
from tests.node.phantoms import STUDY as UID
from tests.node.phantoms import result, stored

__all__ = ["broker"]
NOW, HOUR = 10_000.0, 3600.0


@pytest.fixture
def make_dispatcher(settings: Settings, ledger: Ledger, broker: Broker) -> Callable[[], Dispatcher]:
    return lambda: Dispatcher(settings, ledger, broker, lambda *_: None, lambda: NOW + HOUR)


def receive(ledger: Ledger, now: float) -> None:
    with ledger.write() as connection:
        instances.record_instance(connection, stored(), "MODALITY", now)


def row(ledger: Ledger, table: Table) -> dict[str, float | None]:
    with ledger.read() as connection:
        return dict(connection.execute(select(table)).mappings().one())


def brought_near(ledger: Ledger, now: float = NOW) -> int:
    with ledger.write() as connection:
        return clock.correct_times(connection, now)


def test_a_lease_is_shortened_so_that_who_lives_may_renew_it(ledger: Ledger) -> None:
    receive(ledger, NOW + HOUR)
    with ledger.write() as connection:
        (study,) = studies.receiving(connection)
        assert studies.complete(connection, study, "quiet", NOW)
        jobs.change(connection, lease_until=NOW + HOUR + 20.0, notified_at=NOW + HOUR)
    assert brought_near(ledger) == 3
    assert row(ledger, JOB)["lease_until"] == NOW + LEASE
    assert (row(ledger, STUDY)["last_received_at"], row(ledger, JOB)["notified_at"]) == (NOW, None)


def test_a_try_waits_no_longer_than_its_pause_may_be(ledger: Ledger) -> None:
    receive(ledger, NOW)
    with ledger.write() as connection:
        deliveries.put(connection, UID, 1, [result()], ["pacs"], NOW + HOUR)
    assert brought_near(ledger) == 1
    assert row(ledger, DELIVERY)["next_attempt_at"] == NOW
    meant = NOW + pause_after(8, 1.0)  # after eight tries it may be hours
    with ledger.write() as connection:
        connection.execute(update(JOB).values(attempts=8, due_at=meant))
    assert brought_near(ledger) == 0
    assert row(ledger, DELIVERY)["next_attempt_at"] == meant


def test_what_is_stored_and_not_proven_is_asked_for_at_once(ledger: Ledger) -> None:
    receive(ledger, NOW)
    with ledger.write() as connection:
        deliveries.put(connection, UID, 1, [result()], ["pacs"], NOW)
        later = {"state": JobState.STORED, "done_at": NOW + HOUR, "due_at": NOW + 2 * HOUR}
        connection.execute(update(JOB).values(**later))
        requests.put(connection, "MODALITY", Request("2.25.77", ()), NOW + HOUR, HOUR)
    assert brought_near(ledger) == 2
    stored = row(ledger, DELIVERY)
    with ledger.read() as connection:
        (asked,) = jobs.find(connection, jobs.of(JobKind.COMMITMENT_RESULT))
    assert (stored["delivered_at"], stored["next_attempt_at"]) == (NOW, NOW)
    assert (asked["created_at"], asked["due_at"]) == (NOW, NOW)
    assert brought_near(ledger) == 0


def test_what_lies_in_the_past_or_near_ahead_is_left_alone(ledger: Ledger) -> None:
    receive(ledger, NOW - 5)
    with ledger.write() as connection:
        (study,) = studies.receiving(connection)
        assert studies.complete(connection, study, "quiet", NOW)
        jobs.change(connection, lease_until=NOW + 20.0, notified_at=NOW)
    before = row(ledger, STUDY), row(ledger, JOB)
    assert brought_near(ledger) == 0
    assert (row(ledger, STUDY), row(ledger, JOB)) == before


def test_a_study_that_came_before_the_clock_was_set_back_is_complete_after_its_quiet_time(
    settings: Settings, ledger: Ledger, make_dispatcher: Callable[[], Dispatcher]
) -> None:
    dispatcher = make_dispatcher()
    quiet = settings.node.quiet_seconds
    dispatcher.dispatch(NOW + HOUR)
    association = opened(dispatcher.associations)
    dispatcher.associations.receiving(association, UID)
    receive(ledger, NOW + HOUR)
    dispatcher.associations.end(association, RELEASED, closed=True)
    dispatcher.dispatch(NOW)
    assert row(ledger, STUDY)["state"] == StudyState.RECEIVING
    dispatcher.dispatch(NOW + quiet)
    assert row(ledger, STUDY)["state"] == StudyState.QUEUED


def test_also_where_the_node_did_not_run_meanwhile(ledger: Ledger, make_dispatcher: Callable[[], Dispatcher]) -> None:
    receive(ledger, NOW + HOUR)
    dispatcher = make_dispatcher()
    dispatcher.dispatch(NOW)
    dispatcher.dispatch(NOW + 60.0)
    assert row(ledger, STUDY)["state"] == StudyState.QUEUED
