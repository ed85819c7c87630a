"""What each Unified Procedure Step operation does to the ledger (PS3.4 CC.2), without the network.

Each function works inside the caller's write transaction, which is the lock: of two claims at once one is second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from node.dicom.identity import is_ae_title, is_received_uid, is_uid
from node.ledger.engine import Ledger, note
from node.ledger.tables import WORK_ITEM
from node.worklist.events.subscriptions import publish, watchers
from node.worklist.events.writing import add, save
from node.worklist.items import rows
from node.worklist.items.attributes import check_creation, check_modification, missing_for, settable
from node.worklist.items.changes import cancel_requested
from node.worklist.items.encoding import PassedOver, require_sendable
from node.worklist.items.json_model import Json, code, has_value, items, keyword_of, put, tag_of, text
from node.worklist.items.matching import Query
from node.worklist.items.moments import date_time
from node.worklist.items.priority import Priority, Source
from node.worklist.items.rows import Item, load, reading_order, with_attributes
from node.worklist.items.states import Request as Requested
from node.worklist.items.states import State, change_request, refusal_to_set, transition
from node.worklist.items.statuses import Status, UpsRefused
from node.worklist.orders import orders
from node.worklist.reading.data_set import Station
from node.worklist.reading.work_items import with_input

_UNSPECIFIED = ("110513", "DCM", "Discontinued for unspecified reason")  # CID 9300
_CHUNK = 100  # work items read at once for the responses to a C-FIND
_HIDDEN = tuple(map(tag_of, ("TransactionUID", "SOPClassUID", "SOPInstanceUID")))  # not by N-GET, Table CC.2.5-3


@dataclass(frozen=True, slots=True)
class Pusher:
    """Who makes a work item: the AE title or address under which its work items are counted, and the most of them."""

    name: str
    most: int


def create(
    connection: Connection,
    sop_instance_uid: str,
    given: Json,
    station: Station,
    now: float,
    pusher: Pusher | None = None,
) -> Status:
    """N-CREATE. The priority of a pushed work item is a person's (CC.2.5); an order that is known may raise it."""
    if load(connection, sop_instance_uid):
        raise UpsRefused(transition(Requested.CREATE, State.SCHEDULED).status)
    attributes, filled = check_creation(given, station.worklist_label)
    attributes.pop(tag_of("TransactionUID"), None)
    require_sendable(attributes)
    if pusher and rows.count_pushed(connection, pusher.name) >= pusher.most:
        raise UpsRefused(Status.RESOURCE_LIMITATION)
    priority = Priority(text(attributes, "ScheduledProcedureStepPriority"))
    study = _study(attributes)
    reason = f"{priority}, as pushed"
    item = Item(sop_instance_uid, study, State.SCHEDULED, priority, Source.HUMAN, reason, None, "", attributes, now)
    add(connection, item)
    if pusher:
        rows.set_pushed(connection, sop_instance_uid, pusher.name)
    _note(connection, item, now, f"work item {sop_instance_uid} pushed, {priority}")
    raised = orders.apply(connection, study, now, pushed=sop_instance_uid) if study else 0
    return Status.CREATED_WITH_MODIFICATIONS if filled or raised else Status.SUCCESS


def modify(connection: Connection, sop_instance_uid: str, given: Json, now: float) -> Status:
    """N-SET. A priority that is set is a person's from then on (CC.2.6)."""
    item = load(connection, sop_instance_uid)
    refusal = refusal_to_set(
        item.state if item else None, item.transaction_uid if item else "", text(given, "TransactionUID")
    )
    if refusal is not None or item is None:
        raise UpsRefused(refusal or Status.NO_SUCH_UPS)
    check_modification(given)
    require_sendable(settable(given))
    attributes = item.attributes | settable(given)
    changed = replace(item, attributes=attributes, study_instance_uid=_study(attributes))
    if has_value(given, "ScheduledProcedureStepPriority"):
        priority = Priority(text(given, "ScheduledProcedureStepPriority"))
        changed = replace(changed, priority=priority, source=Source.HUMAN, reason=f"{priority}, set by a person")
        _note(connection, changed, now, f"priority {priority} set by a person, it was {item.priority}")
    save(connection, changed, now)
    return Status.SUCCESS


def change_state(connection: Connection, sop_instance_uid: str, given: Json, now: float) -> Status:
    """N-ACTION 1, Change UPS State (CC.2.1)."""
    wanted = text(given, "ProcedureStepState")
    if wanted not in tuple(State):
        raise UpsRefused(Status.INVALID_ARGUMENT_VALUE, "ProcedureStepState")
    item = load(connection, sop_instance_uid)
    transaction = text(given, "TransactionUID")
    transaction = transaction if is_uid(transaction) else ""
    current, recorded = (item.state, item.transaction_uid) if item else (None, "")
    result = transition(change_request(State(wanted), current, recorded, transaction), current)
    if result.status.failed or item is None:
        raise UpsRefused(result.status)
    if result.state is None:  # already there: a warning, and nothing to do
        return result.status
    changed = replace(item, state=result.state, transaction_uid=item.transaction_uid or transaction)
    if result.state is State.CANCELED:
        changed = _canceled(changed, now)
    if result.final and (missing := missing_for(changed.attributes, result.state)):
        raise UpsRefused(Status.FINAL_STATE_NOT_MET, missing)
    save(connection, changed, now)
    _note(connection, changed, now, f"work item {sop_instance_uid} is {result.state}")
    return result.status


def request_cancel(
    connection: Connection, sop_instance_uid: str, given: Json, now: float, requesting_ae_title: str
) -> Status:
    """N-ACTION 2, Request UPS Cancel (CC.2.2): done at once while nobody has claimed the item, else its subscribers
    are notified.

    An unclaimed item passes through IN PROGRESS on the way, and both changes are reported.
    """
    require_sendable(given)
    if not is_ae_title(requesting_ae_title):
        raise UpsRefused(Status.INVALID_ARGUMENT_VALUE, "RequestingAE")
    item = load(connection, sop_instance_uid)
    result = transition(Requested.REQUEST_CANCEL, item.state if item else None)
    if result.status.failed or item is None:
        raise UpsRefused(result.status)
    if result.status is not Status.SUCCESS:
        return result.status
    if result.state is None and not watchers(connection, sop_instance_uid):
        raise UpsRefused(Status.PERFORMER_UNREACHABLE)
    publish(connection, sop_instance_uid, (cancel_requested(given, requesting_ae_title),), now)
    if result.state is None:
        _note(connection, item, now, f"cancellation of work item {sop_instance_uid} requested by {requesting_ae_title}")
        return result.status
    started = replace(item, state=State.IN_PROGRESS)
    save(connection, started, now)
    reasons = items(given, "ProcedureStepDiscontinuationReasonCodeSequence") or (code(*_UNSPECIFIED),)
    ended = replace(started, state=result.state)
    changed = _canceled(ended, now, reasons, text(given, "ReasonForCancellation"))
    save(connection, changed, now)
    _note(connection, changed, now, f"work item {sop_instance_uid} canceled on request")
    return result.status


def get(connection: Connection, sop_instance_uid: str, tags: Sequence[str], station: Station) -> tuple[Status, Json]:
    """N-GET: the requested attributes, all where none is named; a warning where one of them is not there (CC.2.7)."""
    item = load(connection, sop_instance_uid, lock=False)
    if item is None:
        raise UpsRefused(Status.NO_SUCH_UPS)
    attributes = item.attributes
    if not tags or tag_of("InputInformationSequence") in tags:
        attributes = with_input(connection, item.study_instance_uid, attributes, station)
    visible = {tag: entry for tag, entry in attributes.items() if tag not in _HIDDEN}
    if not tags:
        return Status.SUCCESS, visible
    requested = {tag for tag in tags if keyword_of(tag) != "SpecificCharacterSet"}
    status = Status.SUCCESS if requested <= visible.keys() else Status.NOT_ALL_SUPPORTED
    return status, {tag: entry for tag, entry in visible.items() if tag in requested}


def find(
    ledger: Ledger, query: Query, station: Station, now: float, *, passed_over: PassedOver, whole: bool = False
) -> Iterator[tuple[str, Json]]:
    """C-FIND: UID and response of the matching work items, most urgent first, read in small portions while they are
    sent (CC.2.8).
    """
    with ledger.read() as connection:
        order = reading_order(connection, station.policy, now)
        found = select(WORK_ITEM.c.sop_instance_uid).where(*query.where).order_by(*order)
        uids = connection.execute(found).scalars().all()
    for start in range(0, len(uids), _CHUNK):
        yield from _matches(ledger, query, station, uids[start : start + _CHUNK], order, passed_over, whole=whole)


def _matches(
    ledger: Ledger, query: Query, station: Station, uids: Sequence[str], order: Sequence[ColumnElement[Any]],
    passed_over: PassedOver, *, whole: bool,
) -> list[tuple[str, Json]]:  # fmt: skip
    """The responses of those that match; one that is no Data Set, which an older version kept, is passed over."""
    found = []
    columns = WORK_ITEM.c.sop_instance_uid, WORK_ITEM.c.study_instance_uid, WORK_ITEM.c.attributes
    with ledger.read() as connection:
        query_rows = select(*columns).where(WORK_ITEM.c.sop_instance_uid.in_(uids)).order_by(*order)
        for uid, study, attributes in connection.execute(query_rows).all():
            tested = attributes
            try:
                if query.has_key("InputInformationSequence"):
                    tested = with_input(connection, study, attributes, station)
                if query.test(tested):
                    found.append((uid, _visible(tested) if whole else query.response(tested)))
            except (AttributeError, KeyError, TypeError, ValueError):
                passed_over.log(uid)
    return found


def _visible(attributes: Json) -> Json:
    return {tag: entry for tag, entry in attributes.items() if tag != tag_of("TransactionUID")}


def _canceled(item: Item, now: float, reasons: Sequence[Json] = (), why: str = "") -> Item:
    """With the cancellation's time and reasons in Progress Information (Table CC.2.5-3)."""
    sequence = items(item.attributes, "ProcedureStepProgressInformationSequence")
    progress = dict(sequence[0]) if sequence else {}
    if not has_value(progress, "ProcedureStepCancellationDateTime"):
        put(progress, "ProcedureStepCancellationDateTime", date_time(now))
    if reasons:
        put(progress, "ProcedureStepDiscontinuationReasonCodeSequence", *reasons)
    if why:
        put(progress, "ReasonForCancellation", why)
    return with_attributes(item, ProcedureStepProgressInformationSequence=[progress])


def _study(attributes: Json) -> str:
    """The study that a work item is about: its own Study Instance UID, its request's, or its input's."""
    holders = [
        attributes,
        *items(attributes, "ReferencedRequestSequence"),
        *items(attributes, "InputInformationSequence"),
    ]
    uids = (text(holder, "StudyInstanceUID") for holder in holders)
    return next(filter(is_received_uid, uids), "")


def _note(connection: Connection, item: Item, now: float, detail: str) -> None:
    if item.study_instance_uid:
        note(connection, item.study_instance_uid, now, "worklist", detail)
