"""The Unified Procedure Step SCP: pynetdicom's events in, statuses out (PS3.4 Annex CC).

Push, Pull, Watch and Query. The reports of UPS Event are sent by `event_sender` over associations of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog
from pydicom import Dataset
from pynetdicom import build_context, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
    UnifiedProcedureStepQuery,
    UnifiedProcedureStepWatch,
)
from sqlalchemy import Connection

from node.admission.policy import RIGHTS, Right
from node.dicom.contexts import PLAIN_TRANSFER_SYNTAXES
from node.dicom.identity import is_uid
from node.errors import OutOfResources
from node.ledger.engine import Ledger
from node.settings import Limits
from node.worklist.items.encoding import PassedOver, sendable
from node.worklist.items.json_model import Json, from_dataset
from node.worklist.items.matching import compile_query
from node.worklist.items.statuses import Status, UpsRefused
from node.worklist.reading.data_set import Station
from node.worklist.ups import operations, watch
from node.worklist.ups.watch import Watching

_LOG = structlog.get_logger(__name__)
_HERE = Station()
_MOST_ITEMS = Limits().work_items_per_peer
_NOBODY = Watching(reachable=lambda _ae_title: False)

May = Callable[[Any, Right], bool]
"""Whether the caller of an association has a right."""

Response = tuple[Dataset, Dataset | None]
Handler = tuple[Any, Callable[[Any], Any]]  # pynetdicom's event and our function, as start_server takes them

SOP_CLASSES: tuple[str, ...] = (
    UnifiedProcedureStepPush, UnifiedProcedureStepWatch, UnifiedProcedureStepPull, UnifiedProcedureStepQuery,
)  # fmt: skip

_CHANGE_STATE, _REQUEST_CANCEL = 1, 2  # Action Type IDs, PS3.4 CC.2.1 and CC.2.2; CC.2.3: watch.ACTIONS

# PS3.4 Tables CC.2-1 to CC.2-5: the operations of a presentation context of each class.
OPERATIONS: Mapping[str, tuple[str, ...]] = {
    UnifiedProcedureStepPush: ("N-CREATE", "N-ACTION", "N-GET"),
    UnifiedProcedureStepWatch: ("N-ACTION", "N-GET", "C-FIND"),
    UnifiedProcedureStepPull: ("C-FIND", "N-GET", "N-SET", "N-ACTION"),
    UnifiedProcedureStepQuery: ("C-FIND",),
}
_ACTIONS: Mapping[str, tuple[int, ...]] = {
    UnifiedProcedureStepPush: (_REQUEST_CANCEL,),
    UnifiedProcedureStepWatch: (_REQUEST_CANCEL, *watch.ACTIONS),
    UnifiedProcedureStepPull: (_CHANGE_STATE,),
}


_READING = ("C-FIND", "N-GET")  # what needs the right to read; subscribing, too, and all else the right to change


def contexts() -> list[PresentationContext]:
    """The presentation contexts that the SCP accepts for the worklist."""
    return [build_context(sop_class, list(PLAIN_TRANSFER_SYNTAXES)) for sop_class in SOP_CLASSES]


def handlers(
    ledger: Ledger, station: Station = _HERE, watching: Watching = _NOBODY, clock: Callable[[], float] = time.time, *,
    may: May = lambda _association, _right: True, on_query: Callable[[Any], None] = lambda _event: None,
    most_items: int = _MOST_ITEMS,
) -> list[Handler]:  # fmt: skip
    """The handlers to give to pynetdicom for the presentation contexts of `SOP_CLASSES`.

    Parameters
    ----------
    clock
        Seconds since 1970 UTC.
    may
        Called before each operation.
    on_query
        Called with the event of each C-FIND and N-GET before the first response.
    most_items
        Work items of one peer that are kept.
    """
    scp = UpsProvider(ledger, station, watching, clock, may, on_query, most_items)
    return [
        (evt.EVT_N_CREATE, scp.n_create),
        (evt.EVT_N_SET, scp.n_set),
        (evt.EVT_N_GET, scp.n_get),
        (evt.EVT_N_ACTION, scp.n_action),
        (evt.EVT_C_FIND, scp.c_find),
    ]


@dataclass(frozen=True, slots=True)
class UpsProvider:
    """The operations of the SCP; safe to call from several associations at once."""

    ledger: Ledger
    station: Station
    watching: Watching
    clock: Callable[[], float]
    may: May
    on_query: Callable[[Any], None] = lambda _event: None
    most_items: int = _MOST_ITEMS
    passed_over: PassedOver = field(default_factory=PassedOver)

    def n_create(self, event: Any) -> Response:
        """Create a work item (CC.2.5)."""
        uid = str(event.request.AffectedSOPInstanceUID or "")

        def work(connection: Connection) -> tuple[Status, None]:
            if event.request.AffectedSOPClassUID != UnifiedProcedureStepPush:
                raise UpsRefused(Status.NO_SUCH_CLASS)
            given, dropped = _given(event, "attribute_list")
            pusher = operations.Pusher(event.assoc.requestor.ae_title, self.most_items)
            status = operations.create(connection, uid, given, self.station, self.clock(), pusher)
            return (Status.CREATED_WITH_MODIFICATIONS if dropped else status), None

        return self._respond("N-CREATE", event, uid, self._add, work)

    def n_set(self, event: Any) -> Response:
        """Change attributes of a work item (CC.2.6)."""
        uid = str(event.request.RequestedSOPInstanceUID)

        def work(connection: Connection) -> tuple[Status, None]:
            given, dropped = _given(event, "modification_list")
            status = operations.modify(connection, uid, given, self.clock())
            return (Status.NOT_ALL_SUPPORTED if dropped else status), None

        return self._respond("N-SET", event, uid, self._add, work)

    def n_action(self, event: Any) -> Response:
        """Change the state, request a cancel, subscribe, unsubscribe or suspend (CC.2.1 to CC.2.3)."""
        uid, action = str(event.request.RequestedSOPInstanceUID), event.action_type

        def work(connection: Connection) -> tuple[Status, None]:
            if action not in _ACTIONS.get(event.context.abstract_syntax, ()):
                raise UpsRefused(Status.NO_SUCH_ACTION)
            given, _ = _given(event, "action_information")
            if action == _CHANGE_STATE:
                return operations.change_state(connection, uid, given, self.clock()), None
            if action == _REQUEST_CANCEL:
                requesting = event.assoc.requestor.ae_title
                return operations.request_cancel(connection, uid, given, self.clock(), requesting), None
            acts_for = partial(self._acts_for, event.assoc)
            return watch.act(connection, action, uid, given, self.watching, self.clock(), acts_for=acts_for), None

        transaction = self.ledger.write if action == _CHANGE_STATE else self._add
        return self._respond("N-ACTION", event, uid, transaction, work)

    def n_get(self, event: Any) -> Response:
        """Read attributes of a work item (CC.2.7)."""
        uid = str(event.request.RequestedSOPInstanceUID)
        tags = [f"{int(tag):08X}" for tag in event.attribute_identifiers]

        def work(connection: Connection) -> tuple[Status, Json]:
            self.on_query(event)
            return operations.get(connection, uid, tags, self.station)

        return self._respond("N-GET", event, uid, self.ledger.read, work)

    def c_find(self, event: Any) -> Iterator[tuple[Dataset | Status, Dataset | None]]:
        """Search the worklist (CC.2.8); most urgent first."""
        sent = 0
        try:
            self._check_right("C-FIND", event)
            self.on_query(event)
            _check_class("C-FIND", event, Status.CLASS_NOT_SUPPORTED)
            query = compile_query(*_identifier(event))
            pending = Status.PENDING_WITH_UNSUPPORTED if query.unsupported else Status.PENDING
            over = self.passed_over
            for uid, match in operations.find(self.ledger, query, self.station, self.clock(), passed_over=over):
                if event.is_cancelled:
                    yield Status.CANCELLED_FIND, None
                    return
                if (response := sendable(match)) is None:
                    over.log(uid)
                    continue
                yield pending, response
                sent += 1
            _log("C-FIND", event, "", Status.SUCCESS, matches=sent)
        except UpsRefused as refusal:
            _log("C-FIND", event, "", refusal.status, matches=sent)
            yield _status(refusal.status, refusal.keyword), None
        except OutOfResources as error:
            _log("C-FIND", event, "", Status.OUT_OF_RESOURCES, reason=str(error))
            yield _status(Status.OUT_OF_RESOURCES), None
        except Exception:  # noqa: BLE001  # outermost: a bug of ours is logged, and has its status
            _LOG.exception("work item operation", operation="C-FIND")
            yield _status(Status.UNABLE_TO_PROCESS), None

    def _respond(
        self,
        operation: str,
        event: Any,
        uid: str,
        transaction: Callable[[], AbstractContextManager[Connection]],
        work: Callable[[Connection], tuple[Status, Json | None]],
    ) -> Response:
        """Do the work in one transaction; the response has its status, or that of the refusal."""
        try:
            self._check_right(operation, event)
            _check_class(operation, event, Status.UNRECOGNIZED_OPERATION)
            if not is_uid(uid):
                raise UpsRefused(Status.INVALID_INSTANCE)
            with transaction() as connection:
                status, attributes = work(connection)
            response = None if attributes is None else sendable(attributes)
            if attributes is not None and response is None:
                self.passed_over.log(uid)
                raise UpsRefused(Status.PROCESSING_FAILURE)
        except UpsRefused as refusal:
            _log(operation, event, uid, refusal.status, attribute=refusal.keyword)
            return _status(refusal.status, refusal.keyword), None
        except OutOfResources as error:
            _log(operation, event, uid, Status.RESOURCE_LIMITATION, reason=str(error))
            return _status(Status.RESOURCE_LIMITATION), None
        except Exception:  # noqa: BLE001  # outermost: a bug of ours is logged, and has its status
            _LOG.exception("work item operation", operation=operation)
            return _status(Status.PROCESSING_FAILURE), None
        _log(operation, event, uid, status)
        return _status(status), response

    def _add(self) -> AbstractContextManager[Connection]:
        return self.ledger.write(adds=True)

    def _acts_for(self, association: Any, ae_title: str) -> bool:
        return association.requestor.ae_title == ae_title or self.may(association, "subscriptions")

    def _check_right(self, operation: str, event: Any) -> None:
        reads = operation in _READING or (operation == "N-ACTION" and event.action_type in watch.ACTIONS)
        right: Right = "read" if reads else "change"
        if not self.may(event.assoc, right):
            caller = event.assoc.requestor
            _LOG.warning("not authorized", peer=caller.ae_title, reason=f"its table has no {RIGHTS[right][0]}")
            raise UpsRefused(Status.NOT_AUTHORIZED)


def _check_class(operation: str, event: Any, refusal: Status) -> None:
    if operation not in OPERATIONS.get(event.context.abstract_syntax, ()):
        raise UpsRefused(refusal)


def _given(event: Any, name: str) -> tuple[Json, tuple[str, ...]]:
    try:
        dataset = getattr(event, name)
    except Exception as error:  # the bytes are the peer's; whatever pydicom met in them means the same
        raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE) from error
    return from_dataset(dataset)


def _identifier(event: Any) -> tuple[Json, tuple[str, ...]]:
    try:
        return from_dataset(event.identifier)
    except Exception as error:  # the bytes are the peer's; whatever pydicom met in them means the same
        raise UpsRefused(Status.UNABLE_TO_PROCESS) from error


def _status(status: Status, keyword: str = "") -> Dataset:
    response = Dataset()
    response.Status = int(status)
    if status.failed:
        comment = f"{keyword}: {status.meaning}" if keyword else status.meaning
        response.ErrorComment = comment[:64]  # LO
    return response


def _log(operation: str, event: Any, uid: str, status: Status, **more: object) -> None:
    """UIDs, AE titles, statuses and names of attributes: never a value of one."""
    write = _LOG.warning if status.failed else _LOG.info
    write(
        "work item operation",
        operation=operation,
        sop_instance_uid=uid if is_uid(uid) else "",
        status=f"0x{int(status):04X}",
        meaning=status.meaning,
        calling_ae_title=event.assoc.requestor.ae_title,
        **{key: value for key, value in more.items() if value != ""},
    )
