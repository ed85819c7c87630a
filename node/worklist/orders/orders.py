"""Orders in the ledger: what people have asked for before the images come, and with what priority."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from sqlalchemy import ColumnElement, Connection, RowMapping, Text, and_, cast, false, insert, or_, select, update

from node.ledger.engine import note
from node.ledger.tables import IMAGING_ORDER, WORK_ITEM
from node.worklist.events.writing import save
from node.worklist.items.json_model import Json, items, put, text
from node.worklist.items.priority import Priority, Source
from node.worklist.items.rows import Item, of_study, with_attributes
from node.worklist.items.states import State
from node.worklist.reading.data_set import is_reading


@dataclass(frozen=True, slots=True)
class Order:
    """One order, as a message brought it; of the patient it knows nothing. At least one number is not empty."""

    placer_number: str
    filler_number: str
    accession_number: str
    study_instance_uid: str
    priority: Priority
    ordered_as: str  # the sender's word for the priority
    canceled: bool
    sender: str
    control_id: str


def learn(connection: Connection, order: Order, now: float) -> int:
    """Write the order down, or what has become of it; how many work items its priority has raised."""
    same = [IMAGING_ORDER.c[key] == getattr(order, key) for key in _KEYS]
    known = connection.execute(select(IMAGING_ORDER).where(*same)).mappings().first()
    values = asdict(order) | {"priority": order.priority.value, "updated_at": now}
    if known is None:
        connection.execute(insert(IMAGING_ORDER).values(**values, received_at=now))
    else:
        connection.execute(update(IMAGING_ORDER).where(IMAGING_ORDER.c.id == known["id"]).values(**values))
    if order.canceled:
        return 0
    news = known is None or known["canceled"] or known["priority"] != order.priority
    return sum(apply(connection, uid, now, news=news) for uid in _studies(connection, order))


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
    found = (study for study, attributes in rows if _accession(attributes) == order.accession_number)
    return tuple(dict.fromkeys(found))


def apply(connection: Connection, study_instance_uid: str, now: float, *, news: bool = False, pushed: str = "") -> int:
    """Give the study's unclaimed reading items at least the priority of its orders; how many were raised.

    A priority that is there is never lowered, an accession number that an item lacks is filled in. What a person has
    set since is not raised by an order that was known before: only by `news`. For the work item `pushed`, which has
    just come, every order is news.
    """
    raised = 0
    for item in of_study(connection, study_instance_uid):
        row = most_urgent(connection, study_instance_uid, _accession(item.attributes))
        if item.state is not State.SCHEDULED or not is_reading(item.attributes) or row is None:
            continue
        changed = _with_accession(item, row["accession_number"])
        if news or item.sop_instance_uid == pushed or item.source is not Source.HUMAN:
            changed = _with_priority(changed, row)
        if changed != item:
            save(connection, changed, now)
        if changed.priority != item.priority:
            raised += 1
            note(connection, study_instance_uid, now, "priority", changed.reason)
    return raised


def _with_priority(item: Item, row: RowMapping) -> Item:
    ordered = Priority(row["priority"])
    if not ordered.above(item.priority) and (ordered is not item.priority or item.source is Source.HUMAN):
        return item
    reason = f"{ordered}: ordered as {row['ordered_as'] or 'routine'}"
    return replace(item, priority=ordered, source=Source.HUMAN, reason=reason)


def most_urgent(connection: Connection, study_instance_uid: str, accession_number: str) -> RowMapping | None:
    """The most urgent order of a study that was not canceled, the newest of equals; None where none is known."""
    query = select(IMAGING_ORDER).where(
        _about(study_instance_uid, accession_number), IMAGING_ORDER.c.canceled.is_(False)
    )
    rows = connection.execute(query.order_by(IMAGING_ORDER.c.updated_at.desc())).mappings().all()
    return min(rows, key=lambda row: Priority(row["priority"]).rank, default=None)


def numbers(connection: Connection, study_instance_uid: str, accession_number: str) -> dict[str, str] | None:
    """What the study's order is called by those who made it."""
    row = most_urgent(connection, study_instance_uid, accession_number)
    keys = ("placer_number", "filler_number", "accession_number")
    return None if row is None else {key: row[key] for key in keys}


def _about(study_instance_uid: str, accession_number: str) -> ColumnElement[bool]:
    """Orders that name the study, or name no study but its accession number."""
    orders = IMAGING_ORDER.c
    named = orders.study_instance_uid == study_instance_uid if study_instance_uid else false()
    numbered = and_(
        orders.accession_number == accession_number, orders.study_instance_uid.in_(("", study_instance_uid))
    )
    return or_(named, numbered if accession_number else false())


def _accession(attributes: Json) -> str:
    requests = items(attributes, "ReferencedRequestSequence")
    return next(filter(None, (text(request, "AccessionNumber") for request in requests)), "")


def _with_accession(item: Item, accession_number: str) -> Item:
    if not accession_number or _accession(item.attributes):
        return item
    requests = list(items(item.attributes, "ReferencedRequestSequence"))
    first = dict(requests[0]) if requests else {}
    put(first, "AccessionNumber", accession_number[:16])  # SH
    return with_attributes(item, ReferencedRequestSequence=[first, *requests[1:]])
