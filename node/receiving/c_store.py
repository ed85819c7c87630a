"""C-STORE as SCP: an instance is written while it arrives, and named and recorded when it is complete."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import structlog
from pydicom.uid import UID
from pynetdicom.association import Association
from sqlalchemy import Connection

from node.admission.associations import AssociationRegistry, StoreResult, session_of
from node.admission.policy import RIGHTS, AssociationPolicy
from node.admission.rate_limiter import RateLimiter
from node.dicom.contexts import STORAGE_SOP_CLASSES
from node.dicom.dimse import StoreRequest, file_meta
from node.dicom.headers import read_attributes
from node.dicom.identity import identify, is_received_uid
from node.entities import BY_DIMSE_PRIORITY, MEDIUM, StoredInstance
from node.errors import NotUnderstood, OutOfResources, Refused, UnreadableInstance
from node.ledger import deletion, studies
from node.ledger.engine import Ledger
from node.receiving import instances
from node.receiving.store import Incoming, Store
from node.settings import Settings
from node.upperlayer.acceptor import accepted_context
from node.worklist.items.json_model import Json
from node.worklist.reading import work_items
from node.worklist.reading.data_set import HEADER_TAGS, header_values

_log = structlog.get_logger(__name__)
# PS3.7 C.1, C.4.12, C.4.14; PS3.4 Table B.2-1
SUCCESS, NOT_AUTHORIZED, PROCESSING_FAILURE, NOT_UNDERSTOOD = 0x0000, 0x0124, 0x0110, 0xC000
_STORAGE = frozenset(STORAGE_SOP_CLASSES)


@dataclass(frozen=True)
class Receiver:
    """The parts that receiving an instance needs."""

    settings: Settings
    ledger: Ledger
    store: Store
    associations: AssociationRegistry
    rate_limiter: RateLimiter = field(default_factory=RateLimiter, kw_only=True)

    def begin(self, association: Association, request: StoreRequest, context_id: int) -> StoreOperation | None:
        """Begin to receive an instance; None where the presentation context is not one of storage."""
        context = accepted_context(association, context_id)
        if context is None or context.abstract_syntax not in _STORAGE or not context.transfer_syntax:
            return None
        return StoreOperation(self, association, request, UID(context.transfer_syntax[0]))

    @cached_property
    def policy(self) -> AssociationPolicy:
        """Who may do what."""
        return AssociationPolicy(self.settings)


class StoreOperation:
    """Receives one instance; whatever goes wrong is the status of `finish` (PS3.4 Table B.2-1)."""

    def __init__(self, receiver: Receiver, association: Association, request: StoreRequest, syntax: UID) -> None:
        self._receiver, self._association, self._request = receiver, session_of(association), request
        self._syntax, self._peer = syntax, self._association.caller.ae_title
        self._status = SUCCESS
        self._incoming: Incoming | None = None
        self._study, self._patient_id, self._duplicate = "", "", False
        limits = receiver.settings.limits
        self._most = limits.object_mb << 20
        if receiver.policy.may(self._association.caller, "images"):
            receiver.rate_limiter.acquire("instances", self._association.peer, 1, limits.instances_per_second)
            self._guarded(self._open)
        else:
            _log.warning("instance refused", peer=self._peer, reason=f"its table has no {RIGHTS['images'][0]}")
            self._status = NOT_AUTHORIZED

    def write(self, data: memoryview) -> None:
        """Take the next bytes of the Data Set; once something went wrong they are discarded, with those before them."""
        limit = self._receiver.settings.limits.mb_per_second << 20
        self._receiver.rate_limiter.acquire("bytes", self._association.peer, len(data), limit)
        if self._incoming is not None and self._status == SUCCESS:
            self._guarded(lambda: self._write(data))
            if self._status != SUCCESS:
                self.close()

    def finish(self) -> int:
        """Make the instance durable and record it; the status of the response, before `close` is called."""
        if self._status == SUCCESS:
            self._guarded(self._keep)
        size = self._incoming.size if self._incoming else 0
        result = StoreResult(
            self._request.sop_class_uid, self._status, self._study, size, self._duplicate, self._patient_id
        )
        self._receiver.associations.stored(self._association, result)
        return self._status

    def close(self) -> None:
        """Delete what was not kept."""
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.close()

    def _open(self) -> None:
        uids = self._request.sop_class_uid, self._request.sop_instance_uid
        if not all(map(is_received_uid, uids)):
            raise NotUnderstood("the command's SOP Class or Instance UID is not a valid UID")
        self._incoming = self._receiver.store.begin(file_meta(*uids, self._syntax, self._peer))

    def _write(self, data: memoryview) -> None:
        assert self._incoming is not None
        if self._incoming.size + len(data) > self._most:
            raise OutOfResources(f"the instance is longer than limits.object_mb = {self._most >> 20}")
        self._incoming.write(data)

    def _keep(self) -> None:
        assert self._incoming is not None
        receiver, request = self._receiver, self._request
        key = identify(self._incoming, self._syntax, request.sop_class_uid, request.sop_instance_uid)
        self._study, self._patient_id = key.study_instance_uid, key.patient_id
        first = receiver.associations.receiving(self._association, key.study_instance_uid)
        stored = self._incoming.keep(key, str(self._syntax))
        header = self._header(stored) if first else None
        recorded = receiver.ledger.grouped.write(lambda connection: self._record(connection, stored, header))
        self._duplicate = not recorded.new
        names = {"study": key.study_instance_uid, "instance": request.sop_instance_uid, "peer": self._peer}
        if recorded.conflict:
            _log.warning("same UID with other content, kept beside", **names)
        elif recorded.elsewhere:
            _log.warning("same UID as an instance of another study, both kept", **names)
        else:
            _log.debug("instance stored", new=recorded.new, **names)

    def _header(self, stored: StoredInstance) -> Json:
        """What the worklist needs of a study, from the first instance of it over an association."""
        try:
            return header_values(read_attributes(self._receiver.store.data / stored.path, HEADER_TAGS))
        except UnreadableInstance as error:  # the analysis reports it, too
            _log.warning("header unreadable", instance=stored.key.sop_instance_uid, reason=str(error))
            return {}

    def _record(self, connection: Connection, stored: StoredInstance, header: Json | None) -> instances.Recorded:
        assert self._incoming is not None
        now, rank = time.time(), BY_DIMSE_PRIORITY.get(self._request.priority, MEDIUM)
        stored = self._incoming.kept(stored)
        recorded = instances.record_instance(connection, stored, self._peer, now, rank)
        if recorded.stopped:
            deletion.forget_missing(connection, stored.key.study_instance_uid, self._receiver.store.data)
        if header:
            studies.set_header(connection, stored.key.study_instance_uid, header)
        if recorded.reopened:
            work_items.set_ready(connection, stored.key.study_instance_uid, now, ready=False)
        return recorded

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Refused as refused:
            self._status = refused.status
            log = _log.error if isinstance(refused, OutOfResources) else _log.warning
            log("instance refused", peer=self._peer, status=f"0x{self._status:04X}", reason=str(refused))
        except Exception:  # noqa: BLE001  # outermost: a bug of ours is logged, and is no Success
            self._status = PROCESSING_FAILURE
            _log.exception("instance refused", peer=self._peer, status=f"0x{self._status:04X}")
