"""Event reports: jobs that report one event of a work item to one subscriber, in order, until it has answered.

Lane: the subscriber's AE title; reference: the work item's SOP Instance UID.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, RowMapping

from node.entities import JobKind
from node.ledger import jobs
from node.ledger.jobs import NewJob
from node.ledger.tables import JOB
from node.worklist.events.subscription_states import GLOBAL_SUBSCRIPTION
from node.worklist.items.changes import Event, EventType
from node.worklist.items.json_model import Json

KINDS = (JobKind.EVENT_REPORT, JobKind.WEB_EVENT_REPORT)
MOST_REFUSALS = 3  # failure statuses of one report before it is given up, so that the next ones get through
LONGEST_PAUSE = 900.0  # seconds


@dataclass(frozen=True, slots=True, order=True)
class Subscriber:
    """Who is notified: an AE title, over associations that we open, or (`web`) over the WebSocket that it opened."""

    ae_title: str
    web: bool = False

    @property
    def kind(self) -> JobKind:
        """The kind of its jobs."""
        return KINDS[self.web]


@dataclass(frozen=True, slots=True)
class EventReport:
    """One event report for one subscriber; `id` is their order."""

    id: int
    sop_instance_uid: str
    event_type: EventType
    information: Json
    attempts: int


def put(
    connection: Connection, sop_instance_uid: str, events: Iterable[Event], to: Iterable[Subscriber], now: float
) -> None:
    """Put each event for each subscriber."""
    to = tuple(to)
    jobs.put_all(connection, [_job(one, sop_instance_uid, event) for event in events for one in to], now)


def put_status(connection: Connection, event: Event, to: Iterable[Subscriber], now: float) -> None:
    """Put an SCP Status Change; one that still waits for a subscriber is replaced."""
    for subscriber in to:
        jobs.remove(connection, _of(subscriber), JOB.c.reference == GLOBAL_SUBSCRIPTION)
        put(connection, GLOBAL_SUBSCRIPTION, (event,), (subscriber,), now)


def put_many(connection: Connection, to: Subscriber, found: Iterable[tuple[str, Event]], now: float) -> None:
    """Put one event each for many work items, given with their UIDs, for one subscriber."""
    jobs.put_all(connection, [_job(to, uid, event) for uid, event in found], now)


def due(connection: Connection, now: float) -> tuple[Subscriber, ...]:
    """The subscribers to associate with: those whose oldest report is due."""
    return tuple(map(Subscriber, jobs.lanes_in_order(connection, JobKind.EVENT_REPORT, now)))


def waiting(connection: Connection, subscriber: Subscriber, limit: int) -> tuple[EventReport, ...]:
    """The subscriber's oldest reports, in order."""
    return tuple(_report(row) for row in jobs.find(connection, _of(subscriber), limit=limit))


def answered(connection: Connection, report: EventReport) -> None:
    """The subscriber has it."""
    jobs.remove(connection, JOB.c.id == report.id)


def postponed(
    connection: Connection, subscriber: Subscriber, error: str, now: float, jitter: float | None = None
) -> float:
    """The subscriber was not reached: when its oldest report is tried again, in seconds from now."""
    for head in waiting(connection, subscriber, 1):
        return jobs.postpone(connection, head.id, head.attempts, error, now, longest=LONGEST_PAUSE, jitter=jitter)
    return 0.0


def forget(connection: Connection, subscriber: Subscriber, sop_instance_uid: str = "") -> None:
    """Drop what waits for a subscriber that wants no more: of one work item, or of all."""
    of_item = JOB.c.reference == sop_instance_uid if sop_instance_uid else JOB.c.reference != GLOBAL_SUBSCRIPTION
    jobs.remove(connection, _of(subscriber), of_item)


def _job(subscriber: Subscriber, sop_instance_uid: str, event: Event) -> NewJob:
    payload = {"event_type": event.type.value, "information": event.information}
    return NewJob(subscriber.kind, subscriber.ae_title, payload=payload, reference=sop_instance_uid)


def _of(subscriber: Subscriber) -> ColumnElement[bool]:
    return jobs.of(subscriber.kind, subscriber.ae_title)


def _report(row: RowMapping) -> EventReport:
    event_type, information = EventType(row["payload"]["event_type"]), row["payload"]["information"]
    return EventReport(row["id"], row["reference"], event_type, information, row["attempts"])
