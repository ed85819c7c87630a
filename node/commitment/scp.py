"""Storage commitment on the node's port: requests of senders, and results of the receivers that we requested it of."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog
from pydicom import Dataset
from pynetdicom.sop_class import StorageCommitmentPushModel

from node.admission.associations import session_of
from node.commitment import requests
from node.commitment.messages import INSTANCE, REQUEST, Request, read_request, reading
from node.commitment.result_receiver import receive_result
from node.commitment.result_sender import log_sent, make_result
from node.commitment.same_association import ANSWER_SECONDS, GRACE_SECONDS, RequestAssociation
from node.errors import NotUnderstood, OutOfResources
from node.ledger import deletion
from node.receiving.c_store import Receiver

_log = structlog.get_logger(__name__)
# PS3.7 10.1.4.1.10 and Annex C
_SUCCESS, _PROCESSING_FAILURE, _NO_SUCH_INSTANCE, _NO_SUCH_ACTION = 0x0000, 0x0110, 0x0112, 0x0123
_INVALID_ARGUMENT_VALUE, _NO_SUCH_CLASS, _NOT_AUTHORIZED = 0x0115, 0x0118, 0x0124
_RESOURCE_LIMITATION = 0x0213
_HOLD = GRACE_SECONDS + ANSWER_SECONDS + 5.0  # seconds before a result goes over another association


class CommitmentScp:
    """The handlers of the SCP; safe to call from several associations at once."""

    def __init__(self, receiver: Receiver, clock: Callable[[], float] = time.time) -> None:
        self._settings, self._ledger, self._clock = receiver.settings, receiver.ledger, clock
        self._policy = receiver.policy

    def n_event_report(self, event: Any) -> tuple[int, Dataset | None]:
        """A result of a receiver."""
        caller = event.assoc.requestor.ae_title
        names = [name for name, peer in self._settings.committers.items() if peer.ae_title == caller]
        return receive_result(event, self._ledger, names, self._clock)

    def n_action(self, event: Any) -> tuple[int, Dataset | None]:
        """A request of a sender: Success when it is in the ledger; the result follows."""
        caller = event.assoc.requestor.ae_title
        about: dict[str, Any] = {}
        try:
            status, about = self._take(event, caller)
        except NotUnderstood as error:
            status, about = _INVALID_ARGUMENT_VALUE, {"reason": str(error)}
        except OutOfResources as error:
            status, about = _RESOURCE_LIMITATION, {"reason": str(error)}
        except Exception:  # noqa: BLE001  # outermost: a bug of ours is logged, and answered
            status = _PROCESSING_FAILURE
            _log.exception("storage commitment request")
        log = _log.warning if status else _log.info
        log("storage commitment request", peer=caller, status=f"0x{status:04X}", **about)
        return status, None

    def _take(self, event: Any, caller: str) -> tuple[int, dict[str, Any]]:
        if event.request.RequestedSOPClassUID != StorageCommitmentPushModel:
            return _NO_SUCH_CLASS, {}
        if event.request.RequestedSOPInstanceUID != INSTANCE:
            return _NO_SUCH_INSTANCE, {}
        if event.action_type != REQUEST:
            return _NO_SUCH_ACTION, {}
        if self._settings.peer_called(caller) is None or not self._policy.may(session_of(event.assoc).caller, "images"):
            return _NOT_AUTHORIZED, {"reason": "this peer has no table with send = ['images']"}
        request = _read(event)
        with self._ledger.write() as connection:
            now, uids = self._clock(), (reference.sop_instance_uid for reference in request.references)
            request_id = requests.put(connection, caller, request, now, _HOLD)
            deletion.protect(connection, uids, self._settings.node.data, now)
        if request_id is not None:
            event.assoc.follow_up(lambda: self._send_result(RequestAssociation(event.assoc), request_id))
        return _SUCCESS, {"transaction": request.transaction_uid, "instances": len(request.references)}

    def _send_result(self, way: RequestAssociation, request_id: int) -> None:
        with self._ledger.read() as connection:
            asked = requests.get(connection, request_id)
        if asked is None:
            return
        result = way.send(lambda: make_result(asked, self._settings, self._ledger))
        with self._ledger.write() as connection:
            if result is None:
                requests.release(connection, request_id, self._clock())
            else:
                requests.done(connection, request_id)
        if result is not None:
            log_sent(asked, result, "the association of the request")


def _read(event: Any) -> Request:
    with reading("Action Information"):
        return read_request(event.action_information)
