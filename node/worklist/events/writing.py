"""The one place where work items are written: the event reports of a change are queued in the same transaction."""

from __future__ import annotations

from sqlalchemy import Connection, and_, delete, or_, select

from node.ledger.tables import STUDY, SUBSCRIPTION, WORK_ITEM
from node.worklist.events import subscriptions
from node.worklist.items import rows
from node.worklist.items.changes import changes
from node.worklist.items.json_model import Json, items, put, tag_of
from node.worklist.items.rows import Item, with_attributes
from node.worklist.items.states import FINAL, State

_PROGRESS = "ProcedureStepProgressInformationSequence"
_MOST_FORGOTTEN = 500  # at once: one IN clause
_LONGEST_DESCRIPTION = 1024  # ST, PS3.5 6.2


def add(connection: Connection, item: Item) -> None:
    """Write a new work item."""
    rows.add(connection, item)
    if subscriptions.is_any_global(connection):
        written = _written(connection, item)
        subscriptions.created(connection, written, changes(None, written), item.created_at)


def save(connection: Connection, item: Item, now: float) -> None:
    """Write a changed work item; a new priority is explained in its Procedure Step Progress Description."""
    before = rows.load(connection, item.sop_instance_uid)
    if before is not None and before.priority is not item.priority:
        item = _explained(item, before)
    rows.save(connection, item, now)
    if before is not None and subscriptions.watchers(connection, item.sop_instance_uid):
        events = changes(before, _written(connection, item))
        subscriptions.publish(connection, item.sop_instance_uid, events, now)


def forget_ended(connection: Connection, before: float) -> int:
    """Delete work items that ended before then and that no Deletion Lock keeps (CC.2.1.3); how many.

    Those that nobody has claimed go, too, when their study was received before then: it was read elsewhere. A work
    item of a study that was not received yet is not touched.
    """
    locked = select(SUBSCRIPTION.c.sop_instance_uid).where(SUBSCRIPTION.c.locked)
    old = select(STUDY.c.study_instance_uid).where(STUDY.c.last_received_at < before)
    ended = and_(WORK_ITEM.c.state.in_(FINAL), WORK_ITEM.c.updated_at < before)
    unclaimed = and_(
        WORK_ITEM.c.state == State.SCHEDULED,
        WORK_ITEM.c.created_at < before,
        WORK_ITEM.c.study_instance_uid.in_(old),
    )
    query = select(WORK_ITEM.c.sop_instance_uid).where(
        or_(ended, unclaimed), WORK_ITEM.c.sop_instance_uid.not_in(locked)
    )
    uids = connection.execute(query.limit(_MOST_FORGOTTEN)).scalars().all()
    for table in (SUBSCRIPTION, WORK_ITEM):
        connection.execute(delete(table).where(table.c.sop_instance_uid.in_(uids)))
    return len(uids)


def _explained(item: Item, before: Item) -> Item:
    """With the reason of the priority, unless the same change sets another progress."""
    tag = tag_of(_PROGRESS)
    if item.attributes.get(tag) != before.attributes.get(tag):
        return item
    found = items(item.attributes, _PROGRESS)
    progress: Json = dict(found[0]) if found else {}
    put(progress, "ProcedureStepProgressDescription", item.reason[:_LONGEST_DESCRIPTION])
    return with_attributes(item, **{_PROGRESS: [progress]})


def _written(connection: Connection, item: Item) -> Item:
    return rows.load(connection, item.sop_instance_uid) or item
