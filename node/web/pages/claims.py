"""A reader claims and completes a work item at the page: the same operations as those of a UPS performer (PS3.4 CC.2).

The page is one performer, whoever uses it. The Transaction UID of its claims is made from the node's secret, so that
nobody else knows it, and a restart does not forget it.
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Callable

from sqlalchemy import Connection

from node.worklist.items.json_model import Json, code, items, put
from node.worklist.items.moments import date_time
from node.worklist.items.rows import Item, load
from node.worklist.items.states import State
from node.worklist.items.statuses import Status, UpsRefused
from node.worklist.reading.data_set import INTERPRETATION
from node.worklist.ups import operations

STATION = ("READFIRST_PAGE", "99READFIRST", "ReadFirst page for people")
Change = Callable[[Connection, str, bytes, float], None]
"""`claim` or `complete`: the SOP Instance UID of the work item, the node's secret, and the time."""

_PERFORMED = "UnifiedProcedureStepPerformedProcedureSequence"


def transaction_uid(key: bytes, sop_instance_uid: str) -> str:
    """The Transaction UID with which the page claims this work item (PS3.5 B.2)."""
    digest = hmac.digest(key, b"transaction\0" + sop_instance_uid.encode(), "sha256")
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=4).int}"


def is_ours(item: Item, key: bytes) -> bool:
    """Whether it is the page that has claimed it."""
    return item.transaction_uid == transaction_uid(key, item.sop_instance_uid)


def claim(connection: Connection, sop_instance_uid: str, key: bytes, now: float) -> None:
    """SCHEDULED to IN PROGRESS; the reading starts now.

    Raises
    ------
    UpsRefused
        Somebody else has it, or it has ended (PS3.4 Table CC.1.1-2).
    """
    _change(connection, sop_instance_uid, State.IN_PROGRESS, key, now)
    performed: Json = {}
    put(performed, "PerformedStationNameCodeSequence", code(*STATION))
    put(performed, "PerformedProcedureStepStartDateTime", date_time(now))
    put(performed, "PerformedWorkitemCodeSequence", code(*INTERPRETATION))
    _set_performed(connection, sop_instance_uid, performed, key, now)


def complete(connection: Connection, sop_instance_uid: str, key: bytes, now: float) -> None:
    """IN PROGRESS to COMPLETED, with what the standard requires of a completed step (PS3.4 Table CC.2.5-3).

    Raises
    ------
    UpsRefused
        The page has not claimed it.
    """
    item = load(connection, sop_instance_uid)
    if item is None:
        raise UpsRefused(Status.NO_SUCH_UPS)
    if item.state is State.IN_PROGRESS and is_ours(item, key):
        performed = dict(next(iter(items(item.attributes, _PERFORMED)), {}))
        put(performed, "PerformedProcedureStepEndDateTime", date_time(now))
        put(performed, "OutputInformationSequence")  # the report is made elsewhere
        _set_performed(connection, sop_instance_uid, performed, key, now)
    _change(connection, sop_instance_uid, State.COMPLETED, key, now)


def _change(connection: Connection, sop_instance_uid: str, state: State, key: bytes, now: float) -> None:
    given: Json = {}
    put(given, "ProcedureStepState", state.value)
    put(given, "TransactionUID", transaction_uid(key, sop_instance_uid))
    operations.change_state(connection, sop_instance_uid, given, now)


def _set_performed(connection: Connection, sop_instance_uid: str, performed: Json, key: bytes, now: float) -> None:
    given: Json = {}
    put(given, "TransactionUID", transaction_uid(key, sop_instance_uid))
    put(given, _PERFORMED, performed)
    operations.modify(connection, sop_instance_uid, given, now)
