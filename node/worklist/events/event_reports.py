"""Event reports on their way: kept in the ledger until the subscriber has answered, or until they are too old."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, select, update

from node.backoff import LONGEST_PAUSE, pause_after
from node.ledger.tables import EVENT_REPORT
from node.worklist.events.subscription_states import GLOBAL_SUBSCRIPTION
from node.worklist.items.changes import Event, EventType
from node.worklist.items.json_model import Json

MOST_REFUSALS = 3  # failure statuses of one report before it is given up, so that the next ones get through


@dataclass(frozen=True, slots=True, order=True)
class Subscriber:
    """Who is told: an AE title, over associations that we open, or (`web`) over the WebSocket that it opened."""

    ae_title: str
    web: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """One event report for one subscriber; `id` is their order."""

    id: int
    sop_instance_uid: str
    event_type: EventType
    information: Json
    attempts: int


def put(
    connection: Connection, sop_instance_uid: str, events: Iterable[Event], to: Iterable[Subscriber], now: float
) -> None:
    """Queue each event for each subscriber."""
    to = tuple(to)
    rows = [_row(subscriber, sop_instance_uid, event, now) for event in events for subscriber in to]
    if rows:
        connection.execute(insert(EVENT_REPORT), rows)


def put_status(connection: Connection, event: Event, to: Iterable[Subscriber], now: float) -> None:
    """Queue an SCP Status Change; one that a subscriber has not yet heard of is replaced."""
    for subscriber in to:
        old = and_(_of(subscriber), EVENT_REPORT.c.event_type == EventType.SCP_STATUS_CHANGE.value)
        connection.execute(delete(EVENT_REPORT).where(old))
        put(connection, GLOBAL_SUBSCRIPTION, (event,), (subscriber,), now)


def put_many(connection: Connection, to: Subscriber, found: Iterable[tuple[str, Event]], now: float) -> None:
    """Queue one event each for many work items, given with their UIDs, for one subscriber."""
    if rows := [_row(to, uid, event, now) for uid, event in found]:
        connection.execute(insert(EVENT_REPORT), rows)


def due(connection: Connection, now: float) -> tuple[Subscriber, ...]:
    """The subscribers to associate with: those whose oldest report is due."""
    oldest = select(func.min(EVENT_REPORT.c.id)).where(EVENT_REPORT.c.web.is_(False)).group_by(EVENT_REPORT.c.ae_title)
    query = select(EVENT_REPORT.c.ae_title).where(EVENT_REPORT.c.id.in_(oldest), EVENT_REPORT.c.next_attempt_at <= now)
    return tuple(Subscriber(ae_title) for ae_title in connection.execute(query).scalars())


def waiting(connection: Connection, subscriber: Subscriber, limit: int) -> tuple[Report, ...]:
    """The subscriber's oldest reports, in order."""
    query = select(EVENT_REPORT).where(_of(subscriber)).order_by(EVENT_REPORT.c.id).limit(limit)
    return tuple(_report(row) for row in connection.execute(query))


def answered(connection: Connection, report: Report) -> None:
    """The subscriber has it."""
    connection.execute(delete(EVENT_REPORT).where(EVENT_REPORT.c.id == report.id))


def postponed(connection: Connection, subscriber: Subscriber, now: float, jitter: float) -> float:
    """The subscriber was not reached: when its oldest report is tried again, in seconds from now."""
    head = waiting(connection, subscriber, 1)
    if not head:
        return 0.0
    pause = min(pause_after(head[0].attempts + 1, jitter), LONGEST_PAUSE / 24)
    values = {"attempts": EVENT_REPORT.c.attempts + 1, "next_attempt_at": now + pause}
    connection.execute(update(EVENT_REPORT).where(EVENT_REPORT.c.id == head[0].id).values(values))
    return pause


def forget(connection: Connection, subscriber: Subscriber, sop_instance_uid: str = "") -> None:
    """Drop what waits for a subscriber that wants no more: of one work item, or of all."""
    clauses = [_of(subscriber), EVENT_REPORT.c.event_type != EventType.SCP_STATUS_CHANGE.value]
    if sop_instance_uid:
        clauses.append(EVENT_REPORT.c.sop_instance_uid == sop_instance_uid)
    connection.execute(delete(EVENT_REPORT).where(*clauses))


def _row(subscriber: Subscriber, sop_instance_uid: str, event: Event, now: float) -> dict[str, object]:
    return {
        "ae_title": subscriber.ae_title, "web": subscriber.web, "sop_instance_uid": sop_instance_uid,
        "event_type": event.type.value, "information": event.information, "created_at": now,
        "attempts": 0, "next_attempt_at": now,
    }  # fmt: skip


def _of(subscriber: Subscriber) -> ColumnElement[bool]:
    return and_(EVENT_REPORT.c.ae_title == subscriber.ae_title, EVENT_REPORT.c.web.is_(subscriber.web))


def _report(row: Row[tuple[object, ...]]) -> Report:
    return Report(row.id, row.sop_instance_uid, EventType(row.event_type), row.information, row.attempts)
