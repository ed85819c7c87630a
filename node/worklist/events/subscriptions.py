"""Subscriptions in the ledger: who watches which work items, by the table of `subscription_states` (PS3.4 CC.2.3).

Every function works inside the caller's write transaction. Event reports are queued in it, too: whoever is subscribed
when a work item changes is notified, also after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, update

from node.ledger.tables import GLOBAL_SUBSCRIPTION as GLOBAL
from node.ledger.tables import SUBSCRIPTION, WORK_ITEM
from node.worklist.events import event_reports
from node.worklist.events.event_reports import Subscriber
from node.worklist.events.subscription_states import (
    FILTERED_GLOBAL_SUBSCRIPTION,
    GLOBAL_SUBSCRIPTION,
    Cause,
    Watch,
    step,
)
from node.worklist.items.changes import Event, state_report
from node.worklist.items.json_model import Json
from node.worklist.items.matching import Query, compile_query
from node.worklist.items.rows import Item, load, read

WELL_KNOWN = (GLOBAL_SUBSCRIPTION, FILTERED_GLOBAL_SUBSCRIPTION)
_MOST_VALUES = 500  # of one IN clause


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a subscriber requests: a work item or one of the well-known instances, and whether with Deletion Lock."""

    subscriber: Subscriber
    sop_instance_uid: str
    locked: bool
    matching_keys: Json


def subscribe(connection: Connection, wanted: Subscription, now: float) -> None:
    """Add a subscription; the work item, if it is one, is known to exist."""
    if wanted.sop_instance_uid not in WELL_KNOWN:
        cause = Cause.SUBSCRIBE_LOCKED if wanted.locked else Cause.SUBSCRIBE_UNLOCKED
        item = load(connection, wanted.sop_instance_uid)
        if item is not None:
            _step(connection, wanted.subscriber, [item], cause, now)
        return
    filtered = wanted.sop_instance_uid == FILTERED_GLOBAL_SUBSCRIPTION
    _set_global(connection, wanted, filtered)
    cause = Cause.SUBSCRIBE_ALL_LOCKED if wanted.locked else Cause.SUBSCRIBE_ALL_UNLOCKED
    found = _items(connection, compile_query(wanted.matching_keys) if filtered else None)
    _step(connection, wanted.subscriber, found, cause, now, filtered=filtered)


def unsubscribe(connection: Connection, subscriber: Subscriber, sop_instance_uid: str) -> None:
    """End subscriptions: to one work item, to those that the filter matched, or to all (the global instance)."""
    own = _own(subscriber)
    if sop_instance_uid == GLOBAL_SUBSCRIPTION:
        connection.execute(delete(SUBSCRIPTION).where(own))
        suspend(connection, subscriber, GLOBAL_SUBSCRIPTION)
        suspend(connection, subscriber, FILTERED_GLOBAL_SUBSCRIPTION)
        event_reports.forget(connection, subscriber)
    elif sop_instance_uid == FILTERED_GLOBAL_SUBSCRIPTION:
        theirs = and_(own, SUBSCRIPTION.c.filtered)
        uids = connection.execute(select(SUBSCRIPTION.c.sop_instance_uid).where(theirs)).scalars().all()
        connection.execute(delete(SUBSCRIPTION).where(theirs))
        suspend(connection, subscriber, FILTERED_GLOBAL_SUBSCRIPTION)
        for uid in uids:
            event_reports.forget(connection, subscriber, uid)
    else:
        connection.execute(delete(SUBSCRIPTION).where(own, SUBSCRIPTION.c.sop_instance_uid == sop_instance_uid))
        event_reports.forget(connection, subscriber, sop_instance_uid)


def suspend(connection: Connection, subscriber: Subscriber, sop_instance_uid: str) -> None:
    """No longer subscribe to new work items; those that are subscribed stay so."""
    filtered = sop_instance_uid == FILTERED_GLOBAL_SUBSCRIPTION
    connection.execute(delete(GLOBAL).where(_global(subscriber, filtered=filtered)))


def is_subscribed(connection: Connection, subscriber: Subscriber, sop_instance_uid: str) -> bool:
    """Whether there is such a subscription."""
    if sop_instance_uid in WELL_KNOWN:
        where = _global(subscriber, filtered=sop_instance_uid == FILTERED_GLOBAL_SUBSCRIPTION)
        return connection.execute(select(GLOBAL.c.ae_title).where(where)).first() is not None
    return bool(_watches(connection, subscriber, sop_instance_uid))


def watchers(connection: Connection, sop_instance_uid: str) -> tuple[Subscriber, ...]:
    """The subscribers of the work item."""
    query = select(SUBSCRIPTION.c.ae_title, SUBSCRIPTION.c.web)
    rows = connection.execute(query.where(SUBSCRIPTION.c.sop_instance_uid == sop_instance_uid)).all()
    return tuple(sorted(Subscriber(row.ae_title, row.web) for row in rows))


def all_subscribers(connection: Connection) -> frozenset[Subscriber]:
    """The subscribers of anything: they are notified of a restart."""
    rows = [
        *connection.execute(select(SUBSCRIPTION.c.ae_title, SUBSCRIPTION.c.web).distinct()),
        *connection.execute(select(GLOBAL.c.ae_title, GLOBAL.c.web)),
    ]
    return frozenset(Subscriber(row.ae_title, row.web) for row in rows)


def is_any_global(connection: Connection) -> bool:
    """Whether there is a global subscription: new work items are reported."""
    return connection.execute(select(GLOBAL.c.ae_title).limit(1)).first() is not None


def created(connection: Connection, item: Item, events: Iterable[Event], now: float) -> None:
    """A new work item: those with a global subscription that it matches are subscribed to it, and notified."""
    for row in connection.execute(select(GLOBAL).order_by(GLOBAL.c.filtered)).all():
        if row.filtered and not compile_query(row.matching_keys).test(item.attributes):
            continue
        subscriber, uid = Subscriber(row.ae_title, row.web), item.sop_instance_uid
        current = _watches(connection, subscriber, uid).get(uid, Watch.NONE)
        cell = step(Cause.CREATED_LOCKED if row.locked else Cause.CREATED_UNLOCKED, current)
        if current is Watch.NONE:
            _insert(connection, subscriber, [(uid, cell.to)], filtered=row.filtered)
        elif row.locked and current is Watch.UNLOCKED:  # one of two global subscriptions has the lock
            _update(connection, subscriber, [(uid, Watch.LOCKED)])
    publish(connection, item.sop_instance_uid, events, now)


def publish(connection: Connection, sop_instance_uid: str, events: Iterable[Event], now: float) -> None:
    """Queue the events for all subscribers of the work item."""
    if events := tuple(events):
        event_reports.put(connection, sop_instance_uid, events, watchers(connection, sop_instance_uid), now)


def _step(
    connection: Connection, subscriber: Subscriber, found: Sequence[Item], cause: Cause, now: float, *,
    filtered: bool = False,
) -> None:  # fmt: skip
    watches = _watches(connection, subscriber, found[0].sop_instance_uid if len(found) == 1 else "")
    cells = [(item, step(cause, watches.get(item.sop_instance_uid, Watch.NONE))) for item in found]
    known = [(item.sop_instance_uid, cell.to) for item, cell in cells if item.sop_instance_uid in watches]
    new = [(item.sop_instance_uid, cell.to) for item, cell in cells if item.sop_instance_uid not in watches]
    _insert(connection, subscriber, new, filtered=filtered)
    if not filtered:  # what the filter had matched is now subscribed without it
        _update(connection, subscriber, known)
    reports = ((item.sop_instance_uid, state_report(item)) for item, cell in cells if cell.report)
    event_reports.put_many(connection, subscriber, reports, now)


def _insert(connection: Connection, subscriber: Subscriber, to: Iterable[tuple[str, Watch]], *, filtered: bool) -> None:
    own = {"ae_title": subscriber.ae_title, "web": subscriber.web, "filtered": filtered}
    rows = [
        own | {"sop_instance_uid": uid, "locked": watch is Watch.LOCKED} for uid, watch in to if watch is not Watch.NONE
    ]
    if rows:
        connection.execute(insert(SUBSCRIPTION), rows)


def _update(connection: Connection, subscriber: Subscriber, to: Iterable[tuple[str, Watch]]) -> None:
    for locked in (True, False):
        uids = [uid for uid, watch in to if (watch is Watch.LOCKED) is locked]
        for start in range(0, len(uids), _MOST_VALUES):
            theirs = SUBSCRIPTION.c.sop_instance_uid.in_(uids[start : start + _MOST_VALUES])
            values = {"locked": locked, "filtered": False}
            connection.execute(update(SUBSCRIPTION).where(_own(subscriber), theirs).values(values))


def _watches(connection: Connection, subscriber: Subscriber, sop_instance_uid: str = "") -> dict[str, Watch]:
    """The subscriber's states that are not Not Subscribed, by work item: all, or of one."""
    query = select(SUBSCRIPTION.c.sop_instance_uid, SUBSCRIPTION.c.locked).where(_own(subscriber))
    if sop_instance_uid:
        query = query.where(SUBSCRIPTION.c.sop_instance_uid == sop_instance_uid)
    return {uid: Watch.LOCKED if locked else Watch.UNLOCKED for uid, locked in connection.execute(query)}


def _set_global(connection: Connection, wanted: Subscription, filtered: bool) -> None:
    suspend(connection, wanted.subscriber, wanted.sop_instance_uid)
    connection.execute(
        insert(GLOBAL).values(
            ae_title=wanted.subscriber.ae_title, web=wanted.subscriber.web, filtered=filtered, locked=wanted.locked,
            matching_keys=wanted.matching_keys if filtered else {},
        )
    )  # fmt: skip


def _own(subscriber: Subscriber) -> ColumnElement[bool]:
    return and_(SUBSCRIPTION.c.ae_title == subscriber.ae_title, SUBSCRIPTION.c.web.is_(subscriber.web))


def _global(subscriber: Subscriber, *, filtered: bool) -> ColumnElement[bool]:
    return and_(
        GLOBAL.c.ae_title == subscriber.ae_title, GLOBAL.c.web.is_(subscriber.web), GLOBAL.c.filtered.is_(filtered)
    )


def _items(connection: Connection, query: Query | None) -> list[Item]:
    """Those that match, the oldest first."""
    rows = select(WORK_ITEM).where(*(query.where if query else ())).order_by(WORK_ITEM.c.created_at)
    found = map(read, connection.execute(rows).mappings())
    return [item for item in found if query is None or query.test(item.attributes)]
