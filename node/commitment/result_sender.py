"""Sends senders the results of their requests over associations that we open (SCP of PS3.4 J.3.3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import structlog
from pynetdicom import Association, build_context
from pynetdicom.sop_class import StorageCommitmentPushModel

from node.commitment import availability, requests
from node.commitment.messages import INSTANCE, CommitmentResult, write_result
from node.commitment.requests import PeerRequest
from node.commitment.scu import TICK
from node.dicom.contexts import COMMITMENT_SOP_CLASSES, PLAIN_TRANSFER_SYNTAXES
from node.dicom.dimse import is_performed
from node.entities import JobKind
from node.errors import PeerError, ReadFirstError
from node.ledger import jobs
from node.ledger.engine import Ledger
from node.loops import LaneLoop
from node.sending.scu import Requestor, associate
from node.settings import Settings

_log = structlog.get_logger(__name__)
_ANSWER_SECONDS = 10.0  # to answer one report
_HOUR = 3600.0


def make_result(asked: PeerRequest, settings: Settings, ledger: Ledger) -> CommitmentResult:
    """The result of a request just now."""
    if asked.duplicate:
        return availability.duplicate(asked.request)
    return availability.result_of(ledger, settings.node.data, asked.request)


def log_sent(asked: PeerRequest, result: CommitmentResult, over: str) -> None:
    """One line of the log."""
    counts = {"committed": len(result.committed), "failed": len(result.failed)}
    _log.info("commitment result sent", peer=asked.ae_title, transaction=result.transaction_uid, over=over, **counts)


class ResultSender(LaneLoop[str]):
    """Sends results; one thread a peer at a time."""

    def __init__(self, settings: Settings, ledger: Ledger, clock: Callable[[], float] = time.time) -> None:
        super().__init__("results", "commitment results wait", TICK, clock)
        self._settings, self._ledger = settings, ledger
        self._requestor = Requestor.of(settings)

    def due(self, now: float) -> Iterable[str]:
        """AE titles of those to which a result is to be sent; what is too old is dropped first."""
        oldest = now - self._settings.commitment.report_hours * _HOUR
        for ae_title, number in jobs.drop_older(self._ledger, JobKind.COMMITMENT_RESULT, oldest).items():
            _log.warning("commitment results dropped, nobody took them in time", peer=ae_title, reports=number)
        with self._ledger.read() as connection:
            return requests.peers(connection, now)

    def serve(self, lane: str) -> None:
        """Send one peer its results, over one association; put them off where that fails."""
        try:
            self._send(lane)
        except ReadFirstError as error:
            with self._ledger.write() as connection:
                pause = requests.postpone(connection, lane, str(error), self._clock())
            why = {"reason": str(error), "again_in_seconds": round(pause, 1)}
            _log.warning("commitment results wait", peer=lane, **why)

    def _send(self, ae_title: str) -> None:
        peer = self._settings.peer_called(ae_title)
        if peer is None:
            raise PeerError(f"no [peers.…] table has ae_title = {ae_title}")
        with self._ledger.read() as connection:
            waiting = requests.due(connection, ae_title, self._clock())
        contexts = [build_context(sop_class, list(PLAIN_TRANSFER_SYNTAXES)) for sop_class in COMMITMENT_SOP_CLASSES]
        with associate(self._requestor, peer, contexts, scp_of=COMMITMENT_SOP_CLASSES) as association:
            association.dimse_timeout = _ANSWER_SECONDS
            for request_id in waiting:
                if self._stopping.is_set():
                    return
                self._send_one(association, request_id)

    def _send_one(self, association: Association, request_id: int) -> None:
        with self._ledger.read() as connection:
            asked = requests.get(connection, request_id)
        if asked is None:
            return
        result = make_result(asked, self._settings, self._ledger)
        _send(association, result)
        with self._ledger.write() as connection:
            requests.done(connection, request_id)
        log_sent(asked, result, "an association of ours")


def _send(association: Association, result: CommitmentResult) -> None:
    if not association.is_established:
        raise PeerError("the peer ended the association")
    event_type, information = write_result(result)
    answer, _ = association.send_n_event_report(information, event_type, StorageCommitmentPushModel, INSTANCE)
    status = answer.get("Status")
    if status is None:
        association.abort()
        raise PeerError("the peer did not answer a commitment report")
    if not is_performed(status):
        raise PeerError(f"the peer answered a commitment report with 0x{status:04X}")
