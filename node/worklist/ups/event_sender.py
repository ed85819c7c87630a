"""Sends the event reports: the UPS Event SOP Class as SCP, over associations that we open (PS3.4 CC.2.4).

The SCP's threads and the workers only write reports into the ledger. One thread here sees what is due; each subscriber
is served by one thread at a time, in order, so that one that cannot be reached holds nobody else up. A report is gone
from the ledger when it was answered: a crash in between sends it a second time, and never loses it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from pynetdicom import Association, build_context
from pynetdicom.sop_class import UnifiedProcedureStepEvent, UnifiedProcedureStepPush

from node.dicom.contexts import PLAIN_TRANSFER_SYNTAXES
from node.dicom.dimse import is_performed
from node.errors import PeerError, ReadFirstError
from node.ledger import jobs
from node.ledger.engine import Ledger
from node.loops import LaneLoop
from node.sending.scu import Requestor, associate
from node.settings import Peer, Settings
from node.worklist.events import event_reports, subscriptions
from node.worklist.events.event_reports import MOST_REFUSALS, EventReport, Subscriber
from node.worklist.items.changes import restarted
from node.worklist.items.encoding import sendable

_log = structlog.get_logger(__name__)
_TICK = 0.1  # seconds between looks
_BATCH = 100  # reports of one association
_ANSWER_SECONDS = 10.0  # to answer one report; nothing has to be done for it
_HOUR = 3600.0
_WAIT = "event reports wait"  # the log's word

SOP_CLASSES: tuple[str, ...] = (UnifiedProcedureStepEvent,)


class EventSender(LaneLoop[Subscriber]):
    """The loop that sends event reports; `run` in a thread of its own until `stop`."""

    def __init__(self, settings: Settings, ledger: Ledger, clock: Callable[[], float] = time.time) -> None:
        super().__init__("event", _WAIT, _TICK, clock)
        self._settings, self._ledger = settings, ledger
        self._requestor = Requestor.of(settings)
        self._restart_reported = False

    def step(self) -> float:
        """Begins with SCP Status Change."""
        if not self._restart_reported:
            self.report_restart(self._clock())
            self._restart_reported = True
        return super().step()

    def report_restart(self, now: float) -> None:
        """Put SCP Status Change for every subscriber and for those whom the settings name."""
        named = [Subscriber(ae_title) for ae_title in self._settings.worklist.status_to]
        event = restarted(subscriptions_kept=True, items_kept=True)
        with self._ledger.write() as connection:
            event_reports.put_status(
                connection, event, sorted({*named, *subscriptions.all_subscribers(connection)}), now
            )

    def due(self, now: float) -> tuple[Subscriber, ...]:
        """Whoever is to be sent something; what is too old is dropped first."""
        for kind in event_reports.KINDS:
            missed = jobs.drop_older(self._ledger, kind, now - self._settings.worklist.event_hours * _HOUR)
            for ae_title, number in missed.items():
                _log.warning("event reports dropped, nobody answered in time", peer=ae_title, reports=number)
        with self._ledger.read() as connection:
            return event_reports.due(connection, now)

    def serve(self, lane: Subscriber) -> None:
        """Send what waits for one subscriber, over one association; put it off where that fails."""
        try:
            peer = self._settings.peer_called(lane.ae_title)
            if peer is None:
                raise PeerError(f"no [peers.…] table has ae_title = {lane.ae_title}")
            self._send(lane, peer)
        except ReadFirstError as error:
            with self._ledger.write() as connection:
                pause = event_reports.postponed(connection, lane, str(error), self._clock())
            seconds = round(pause, 1)
            _log.warning(_WAIT, peer=lane.ae_title, reason=str(error), again_in_seconds=seconds)

    def _send(self, subscriber: Subscriber, peer: Peer) -> None:
        contexts = [build_context(sop_class, list(PLAIN_TRANSFER_SYNTAXES)) for sop_class in SOP_CLASSES]
        with associate(self._requestor, peer, contexts, scp_of=SOP_CLASSES) as association:
            association.dimse_timeout = _ANSWER_SECONDS
            while not self._stopping.is_set():
                with self._ledger.read() as connection:
                    waiting = event_reports.waiting(connection, subscriber, _BATCH)
                if not waiting:
                    return
                for report in waiting:
                    self._send_one(association, subscriber, report)

    def _send_one(self, association: Association, subscriber: Subscriber, report: EventReport) -> None:
        if not association.is_established:
            raise PeerError("the peer ended the association")
        information = sendable(report.information)
        if information is None:  # an older version kept it; the next ones shall get through
            _log.error(
                "an event report cannot be sent and is dropped", peer=subscriber.ae_title,
                sop_instance_uid=report.sop_instance_uid,
            )  # fmt: skip
            with self._ledger.write() as connection:
                event_reports.answered(connection, report)
            return
        answer, _ = association.send_n_event_report(
            information, report.event_type, UnifiedProcedureStepPush, report.sop_instance_uid,
            meta_uid=UnifiedProcedureStepEvent,
        )  # fmt: skip
        status = answer.get("Status")
        if status is None:
            association.abort()
            raise PeerError("the peer did not answer an event report")
        if not is_performed(status) and report.attempts + 1 < MOST_REFUSALS:
            raise PeerError(f"the peer answered an event report with 0x{status:04X}")
        with self._ledger.write() as connection:
            event_reports.answered(connection, report)
        log = _log.info if status == 0 else _log.warning
        log(
            "event reported", peer=subscriber.ae_title, event_type=report.event_type.name,
            sop_instance_uid=report.sop_instance_uid, status=f"0x{status:04X}",
        )  # fmt: skip
