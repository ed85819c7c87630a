"""Orders in the ledger: the priority that people requested before the images were received."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Connection, RowMapping, Text, and_, cast, false, insert, or_, select, update

from node.errors import ReadFirstError
from node.ledger.engine import note
from node.ledger.tables import IMAGING_ORDER, WORK_ITEM
from node.worklist.events.writing import save
from node.worklist.items.json_model import accession_number, items, put
from node.worklist.items.priority import Priority, Source
from node.worklist.items.rows import Item, of_study, with_attributes
from node.worklist.items.states import State
from node.worklist.reading.data_set import is_reading

_log = structlog.get_logger(__name__)


class BadOrder(ReadFirstError):
    """The message is no order that can be kept; `code` is of HL7 table 0357."""

    def __init__(self, text: str, code: str = "101") -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Order:
    """One order of a message, without attributes of the patient. At least one number is not empty.

    `ordered_as` is the sender's code of the priority, empty where the message has none; `new` that the message places
    the order, while others cancel it, change it or give its status.
    """

    placer_number: str
    filler_number: str
    accession_number: str
    study_instance_uid: str
    priority: Priority
    ordered_as: str
    canceled: bool
    sender: str
    control_id: str
    new: bool = True


_NUMBERS = ("placer_number", "filler_number", "accession_number", "study_instance_uid")


def record(connection: Connection, order: Order, now: float) -> int:
    """Insert the order, or update the one that it names; how many work items its priority has raised.

    The placer order number names an order, without one the filler order number, without both the accession number or
    the study. Other numbers may be added later, and an empty one means what is known; so does a priority that a message
    other than a new order leaves out.

    Raises
    ------
    BadOrder
        It names no study, and no order that is known, or several others.
    """
    rows = _same(connection, order)
    if not rows and order.canceled:
        _log.info("canceled order is not known", control_id=order.control_id)
    elif not rows and not (order.accession_number or order.study_instance_uid):
        raise BadOrder("an order has no accession number and no Study Instance UID, and its number is not known", "204")
    changed = not rows
    for row in rows:
        values = _merged(order, row, alone=len(rows) == 1)
        connection.execute(
            update(IMAGING_ORDER).where(IMAGING_ORDER.c.id == row["id"]).values(**values, updated_at=now)
        )
        changed |= row["canceled"] or row["priority"] != values["priority"]
    if not rows:
        values = _values(order)
        connection.execute(insert(IMAGING_ORDER).values(**values, updated_at=now, received_at=now))
    if order.canceled:
        return 0
    whole = [replace(order, **{key: row[key] or getattr(order, key) for key in _NUMBERS[2:]}) for row in rows]
    studies = dict.fromkeys(uid for one in (whole or [order]) for uid in _studies(connection, one))
    return sum(apply(connection, uid, now, changed=changed) for uid in studies)


def _same(connection: Connection, order: Order) -> list[RowMapping]:
    """The orders that it names: those of its most specific number that no other number contradicts.

    A placer's order may have several procedures, each with numbers of its own.
    """
    for keys in (_NUMBERS[:1], _NUMBERS[1:2], _NUMBERS[2:]):
        given = {key: getattr(order, key) for key in keys if getattr(order, key)}
        if not given:
            continue
        query = select(IMAGING_ORDER).where(or_(*(IMAGING_ORDER.c[key] == value for key, value in given.items())))
        found = list(connection.execute(query.order_by(IMAGING_ORDER.c.id)).mappings())
        agreeing = [row for row in found if _agrees(order, row)]
        if agreeing or keys == _NUMBERS[2:]:
            return agreeing
        if found and keys == _NUMBERS[:1]:
            return _of_placer(order, found)
    return []


def _of_placer(order: Order, rows: list[RowMapping]) -> list[RowMapping]:
    """Of orders that share the placer's number and are at odds with the others: those meant all the same."""
    if order.new and not order.canceled:
        return []
    near = [row for row in rows if any(row[key] and row[key] == getattr(order, key) for key in _NUMBERS[2:])]
    if len(near) == 1 or (len(rows) == 1 and order.canceled):
        return near or rows
    if order.canceled:
        raise BadOrder("the placer order number is of several orders, and none has the other numbers", "204")
    return []


def _agrees(order: Order, row: RowMapping) -> bool:
    ours, theirs = _own_numbers(_values(order)), _own_numbers(row)
    return all(not theirs[key] or ours[key] in ("", theirs[key]) for key in _NUMBERS)


def _own_numbers(values: Mapping[str, Any] | RowMapping) -> dict[str, str]:
    """The numbers; an accession number that was taken from the filler order number adds nothing."""
    numbers = {key: values[key] for key in _NUMBERS}
    is_filler = numbers["accession_number"] == numbers["filler_number"]
    return numbers | ({"accession_number": ""} if is_filler else {})


def _values(order: Order) -> dict[str, Any]:
    values = asdict(order) | {"priority": order.priority.value}
    del values["new"]
    return values


def _merged(order: Order, row: RowMapping, *, alone: bool) -> dict[str, Any]:
    """The row's new values; several rows keep their numbers, in which they differ."""
    values, numbers = _values(order), _own_numbers(_values(order))
    kept = [key for key in _NUMBERS if not alone or (row[key] and not numbers[key])]
    if not order.ordered_as and (order.canceled or not order.new):
        kept += ["priority", "ordered_as"]
    return values | {key: row[key] for key in kept}


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
