"""Tells senders over associations that we open what we keep of theirs (storage commitment as SCP, PS3.4 J.3.3)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from threading import Event

import structlog
from pynetdicom import Association, build_context
from pynetdicom.sop_class import StorageCommitmentPushModel

from node.commitment import keeping, requests
from node.commitment.messages import INSTANCE, Report, write_report
from node.commitment.requests import Asked
from node.dicom.contexts import COMMITMENT_SOP_CLASSES, PLAIN_TRANSFER_SYNTAXES
from node.errors import PeerError, ReadFirstError
from node.ledger import expiry
from node.ledger.engine import Ledger
from node.ledger.tables import COMMITMENT_REQUEST
from node.sending.scu import Requestor, associate
from node.settings import Settings

_log = structlog.get_logger(__name__)
_ANSWER_SECONDS = 10.0  # to answer one report
_HOUR = 3600.0


def report_of(asked: Asked, settings: Settings, ledger: Ledger) -> Report:
    """What we say of a request just now."""
    if asked.duplicate:
        return keeping.duplicate(asked.request)
    return keeping.report_on(ledger, settings.node.data, asked.request)


def say_told(asked: Asked, report: Report, over: str) -> None:
    """One line of the log."""
    counts = {"committed": len(report.committed), "failed": len(report.failed)}
    _log.info("commitment reported", peer=asked.ae_title, transaction=report.transaction_uid, over=over, **counts)


class Reporter:
    """Whom there is something to tell, and the telling; one thread a peer at a time."""

    def __init__(
        self, settings: Settings, ledger: Ledger, stopping: Event, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings, self._ledger, self._stopping, self._clock = settings, ledger, stopping, clock
        self._requestor = Requestor(settings.node.ae_title, settings.node.tls)

    def due(self, now: float) -> Iterable[str]:
        """AE titles of those to be told something; what is too old is dropped first."""
        oldest = now - self._settings.commitment.report_hours * _HOUR
        with self._ledger.read() as connection:
            old = expiry.has_older(connection, COMMITMENT_REQUEST, oldest)
        if old:
            self._expire(oldest)
        with self._ledger.read() as connection:
            return requests.peers(connection, now)

    def _expire(self, before: float) -> None:
        with self._ledger.write() as connection:
            missed = expiry.expire(connection, COMMITMENT_REQUEST, before)
        for ae_title, number in missed.items():
            _log.warning("commitment reports dropped, nobody took them in time", peer=ae_title, reports=number)

    def serve(self, ae_title: str) -> None:
        """Tell one peer what is due, over one association; put it off where that fails."""
        try:
            self._tell(ae_title)
        except ReadFirstError as error:
            with self._ledger.write() as connection:
                pause = requests.postpone(connection, ae_title, self._clock(), random.random())  # noqa: S311
            why = {"reason": str(error), "again_in_seconds": round(pause, 1)}
            _log.warning("commitment reports wait", peer=ae_title, **why)

    def _tell(self, ae_title: str) -> None:
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
                self._tell_one(association, request_id)

    def _tell_one(self, association: Association, request_id: int) -> None:
        with self._ledger.read() as connection:
            asked = requests.get(connection, request_id)
        if asked is None:
            return
        report = report_of(asked, self._settings, self._ledger)
        _send(association, report)
        with self._ledger.write() as connection:
            requests.told(connection, request_id)
        say_told(asked, report, "an association of ours")


def _send(association: Association, report: Report) -> None:
    if not association.is_established:
        raise PeerError("the peer ended the association")
    event_type, information = write_report(report)
    answer, _ = association.send_n_event_report(information, event_type, StorageCommitmentPushModel, INSTANCE)
    status = answer.get("Status")
    if status is None:
        association.abort()
        raise PeerError("the peer did not answer a commitment report")
    if status != 0 and status & 0xF000 != 0xB000:
        raise PeerError(f"the peer answered a commitment report with 0x{status:04X}")
