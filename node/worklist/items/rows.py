"""Work items in the ledger: one row each, its columns and its Data Set always in step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, case, func, insert, select, update

from node.ledger.tables import WORK_ITEM
from node.settings import Policy
from node.worklist.items.json_model import Json, put
from node.worklist.items.moments import date_time
from node.worklist.items.priority import Priority, Source, head_start
from node.worklist.items.states import State

_HOUR, _DAY = 3600.0, 86400.0  # seconds
UPS_PUSH = "1.2.840.10008.5.1.4.34.6.1"  # the SOP Class of every instance, PS3.4 CC.3.1


@dataclass(frozen=True, slots=True)
class Item:
    """A work item. `attributes` is its Data Set but the Transaction UID, which never leaves the ledger (CC.2.7.3)."""

    sop_instance_uid: str
    study_instance_uid: str
    state: State
    priority: Priority
    source: Source
    reason: str
    triage_priority: Priority | None  # the most urgent that triage ever requested
    transaction_uid: str
    attributes: Json
    created_at: float


def by_urgency(policy: Policy | None = None, now: float = 0.0) -> tuple[ColumnElement[Any], ...]:
    """The order of the worklist: priority, then age; the UID makes it total.

    With `policy` the list ages: HIGH items created within `late_hours` before `now` are before all others, however
    old. The rest is ordered by creation less the head start, so that nothing starves: an item that waits is overtaken
    only by those created within the difference of the two head starts, and by such alerts, of which the budget lets
    only so many through.
    """
    rank = case({priority.value: priority.rank for priority in Priority}, value=WORK_ITEM.c.priority)
    if policy is None:
        return rank, WORK_ITEM.c.created_at, WORK_ITEM.c.sop_instance_uid
    starts = {priority.value: head_start(priority, policy) for priority in Priority}
    since = now - policy.late_hours * _HOUR
    fresh = case((and_(WORK_ITEM.c.priority == Priority.HIGH.value, WORK_ITEM.c.created_at > since), 0), else_=1)
    aged = WORK_ITEM.c.created_at - case(starts, value=WORK_ITEM.c.priority)
    return fresh, aged, rank, WORK_ITEM.c.sop_instance_uid


def reading_order(connection: Connection, policy: Policy | None, now: float) -> tuple[ColumnElement[Any], ...]:
    """`by_urgency`, aged by the policy where the list is worked off."""
    return by_urgency(policy if policy and is_worked_off(connection, now) else None, now)


def is_worked_off(connection: Connection, now: float) -> bool:
    """Whether somebody claimed a work item of this list within a day.

    Where people read without claiming, every old item is still unread here: it must not be put before newer ones.
    """
    taken = select(WORK_ITEM.c.sop_instance_uid).where(WORK_ITEM.c.transaction_uid != "")
    return connection.execute(taken.where(WORK_ITEM.c.updated_at > now - _DAY).limit(1)).first() is not None


def load(connection: Connection, sop_instance_uid: str, *, lock: bool = True) -> Item | None:
    """The work item with this UID; with `lock` nobody else changes it before the transaction ends."""
    query = select(WORK_ITEM).where(WORK_ITEM.c.sop_instance_uid == sop_instance_uid)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    return None if row is None else read(row)


def of_study(connection: Connection, study_instance_uid: str) -> tuple[Item, ...]:
    """All work items that name this study, oldest first."""
    query = select(WORK_ITEM).where(WORK_ITEM.c.study_instance_uid == study_instance_uid).with_for_update()
    order = (WORK_ITEM.c.created_at, WORK_ITEM.c.sop_instance_uid)
    return tuple(map(read, connection.execute(query.order_by(*order)).mappings()))


def add(connection: Connection, item: Item) -> None:
    """Write a new work item; its watchers are notified by `events.writing.add` alone."""
    values = _columns(item, item.created_at)
    connection.execute(
        insert(WORK_ITEM).values(sop_instance_uid=item.sop_instance_uid, created_at=item.created_at, **values)
    )


def save(connection: Connection, item: Item, now: float) -> None:
    """Write a changed work item for `events.writing.save`; the modification time of its schedule is `now`."""
    where = WORK_ITEM.c.sop_instance_uid == item.sop_instance_uid
    connection.execute(update(WORK_ITEM).where(where).values(**_columns(item, now)))


def count_pushed(connection: Connection, pushed_by: str) -> int:
    """How many work items are kept that this peer has made."""
    query = select(func.count()).select_from(WORK_ITEM).where(WORK_ITEM.c.pushed_by == pushed_by)
    return connection.execute(query).scalar_one()


def set_pushed(connection: Connection, sop_instance_uid: str, pushed_by: str) -> None:
    """A peer has made the work item."""
    where = WORK_ITEM.c.sop_instance_uid == sop_instance_uid
    connection.execute(update(WORK_ITEM).where(where).values(pushed_by=pushed_by))


def with_attributes(item: Item, **values: Sequence[object]) -> Item:
    """The item with other attributes, each given by keyword as a sequence of values."""
    attributes = dict(item.attributes)
    for keyword, given in values.items():
        put(attributes, keyword, *given)
    return replace(item, attributes=attributes)


def _columns(item: Item, now: float) -> dict[str, object]:
    attributes = dict(item.attributes)
    put(attributes, "SOPClassUID", UPS_PUSH)
    put(attributes, "SOPInstanceUID", item.sop_instance_uid)
    put(attributes, "ProcedureStepState", item.state.value)
    put(attributes, "ScheduledProcedureStepPriority", item.priority.value)
    put(attributes, "ScheduledProcedureStepModificationDateTime", date_time(now))
    return {
        "study_instance_uid": item.study_instance_uid,
        "state": item.state.value,
        "priority": item.priority.value,
        "priority_source": item.source.value,
        "priority_reason": item.reason,
        "triage_priority": item.triage_priority.value if item.triage_priority else "",
        "transaction_uid": item.transaction_uid,
        "attributes": dict(sorted(attributes.items())),
        "updated_at": now,
    }


def read(row: RowMapping) -> Item:
    """The work item of a row."""
    return Item(
        sop_instance_uid=row["sop_instance_uid"],
        study_instance_uid=row["study_instance_uid"],
        state=State(row["state"]),
        priority=Priority(row["priority"]),
        source=Source(row["priority_source"]),
        reason=row["priority_reason"],
        triage_priority=Priority(row["triage_priority"]) if row["triage_priority"] else None,
        transaction_uid=row["transaction_uid"],
        attributes=row["attributes"] if isinstance(row["attributes"], dict) else {},  # of an older version
        created_at=row["created_at"],
    )
