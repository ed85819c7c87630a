"""Orders in the ledger: the priority that people requested before the images were received."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from sqlalchemy import ColumnElement, Connection, RowMapping, Text, and_, cast, false, insert, or_, select, update

from node.ledger.engine import note
from node.ledger.tables import IMAGING_ORDER, WORK_ITEM
from node.worklist.events.writing import save
from node.worklist.items.json_model import accession_number, items, put
from node.worklist.items.priority import Priority, Source
from node.worklist.items.rows import Item, of_study, with_attributes
from node.worklist.items.states import State
from node.worklist.reading.data_set import is_reading


@dataclass(frozen=True, slots=True)
class Order:
    """One order of a message, without attributes of the patient. At least one number is not empty."""

    placer_number: str
    filler_number: str
    accession_number: str
    study_instance_uid: str
    priority: Priority
    ordered_as: str  # the sender's code of the priority
    canceled: bool
    sender: str
    control_id: str


def record(connection: Connection, order: Order, now: float) -> int:
    """Insert the order, or update the one of the same numbers; how many work items its priority has raised."""
    same = [IMAGING_ORDER.c[key] == getattr(order, key) for key in _KEYS]
    known = connection.execute(select(IMAGING_ORDER).where(*same)).mappings().first()
    values = asdict(order) | {"priority": order.priority.value, "updated_at": now}
    if known is None:
        connection.execute(insert(IMAGING_ORDER).values(**values, received_at=now))
    else:
        connection.execute(update(IMAGING_ORDER).where(IMAGING_ORDER.c.id == known["id"]).values(**values))
    if order.canceled:
        return 0
    changed = known is None or known["canceled"] or known["priority"] != order.priority
    return sum(apply(connection, uid, now, changed=changed) for uid in _studies(connection, order))


_KEYS = ("placer_number", "filler_number", "accession_number", "study_instance_uid")


def _studies(connection: Connection, order: Order) -> tuple[str, ...]:
    """Studies with unclaimed work items that the order is about."""
    query = select(WORK_ITEM.c.study_instance_uid, WORK_ITEM.c.attributes)
    query = query.where(WORK_ITEM.c.state == State.SCHEDULED, WORK_ITEM.c.study_instance_uid != "")
    if order.study_instance_uid:
        direct = query.where(WORK_ITEM.c.study_instance_uid == order.study_instance_uid)
        if connection.execute(direct.limit(1)).first():
            return (order.study_instance_uid,)
    if not order.accession_number:
        return ()
    named = cast(WORK_ITEM.c.attributes, Text).contains(json.dumps(order.accession_number), autoescape=True)
    rows = connection.execute(query.where(named))  # else the JSON of the whole worklist would be read
    found = (study for study, attributes in rows if accession_number(attributes) == order.accession_number)
    return tuple(dict.fromkeys(found))


def apply(
    connection: Connection, study_instance_uid: str, now: float, *, changed: bool = False, pushed: str = ""
) -> int:
    """Give the study's unclaimed reading items at least the priority of its orders; how many were raised.

    A priority is never lowered, an accession number that an item lacks is filled in. What a person has set since is
    not raised by an order that was known before, only by one that is new or `changed`. For the work item `pushed`,
    which has just been created, every order is new.
    """
    raised = 0
    for item in of_study(connection, study_instance_uid):
        row = most_urgent(connection, study_instance_uid, accession_number(item.attributes))
        if item.state is not State.SCHEDULED or not is_reading(item.attributes) or row is None:
            continue
        raised_item = _with_accession(item, row["accession_number"])
        if changed or item.sop_instance_uid == pushed or item.source is not Source.HUMAN:
            raised_item = _with_priority(raised_item, row)
        if raised_item != item:
            save(connection, raised_item, now)
        if raised_item.priority != item.priority:
            raised += 1
            note(connection, study_instance_uid, now, "priority", raised_item.reason)
    return raised


def _with_priority(item: Item, row: RowMapping) -> Item:
    ordered = Priority(row["priority"])
    if not ordered.above(item.priority) and (ordered is not item.priority or item.source is Source.HUMAN):
        return item
    reason = f"{ordered}: ordered as {row['ordered_as'] or 'routine'}"
    return replace(item, priority=ordered, source=Source.HUMAN, reason=reason)


def most_urgent(connection: Connection, study_instance_uid: str, accession: str) -> RowMapping | None:
    """The most urgent order of a study that was not canceled, the newest of equals; None where none is known."""
    query = select(IMAGING_ORDER).where(_about(study_instance_uid, accession), IMAGING_ORDER.c.canceled.is_(False))
    rows = connection.execute(query.order_by(IMAGING_ORDER.c.updated_at.desc())).mappings().all()
    return min(rows, key=lambda row: Priority(row["priority"]).rank, default=None)


def urgent(connection: Connection) -> frozenset[str]:
    """Study Instance UIDs and Accession Numbers of the HIGH orders that were not canceled."""
    orders = IMAGING_ORDER.c
    high = select(orders.study_instance_uid, orders.accession_number)
    rows = connection.execute(high.where(orders.priority == Priority.HIGH, orders.canceled.is_(False)))
    return frozenset(value for row in rows for value in row if value)


def numbers(connection: Connection, study_instance_uid: str, accession: str) -> dict[str, str] | None:
    """The numbers that placer and filler gave the study's order."""
    row = most_urgent(connection, study_instance_uid, accession)
    keys = ("placer_number", "filler_number", "accession_number")
    return None if row is None else {key: row[key] for key in keys}


def _about(study_instance_uid: str, accession: str) -> ColumnElement[bool]:
    """Orders that name the study, or name no study but its accession number."""
    orders = IMAGING_ORDER.c
    named = orders.study_instance_uid == study_instance_uid if study_instance_uid else false()
    numbered = and_(orders.accession_number == accession, orders.study_instance_uid.in_(("", study_instance_uid)))
    return or_(named, numbered if accession else false())


def _with_accession(item: Item, number: str) -> Item:
    if not number or accession_number(item.attributes):
        return item
    requests = list(items(item.attributes, "ReferencedRequestSequence"))
    first = dict(requests[0]) if requests else {}
    put(first, "AccessionNumber", number[:16])  # SH
    return with_attributes(item, ReferencedRequestSequence=[first, *requests[1:]])
