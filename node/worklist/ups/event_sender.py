"""Sends the event reports: the UPS Event SOP Class as SCP, over associations that we open (PS3.4 CC.2.4).

The SCP's threads and the workers only write reports into the ledger. One thread here sees what is due; each subscriber
is served by one thread at a time, in order, so that one that cannot be reached holds nobody else up. A report is gone
from the ledger when it was answered: a crash in between sends it a second time, and never loses it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import structlog
from pynetdicom import Association, build_context
from pynetdicom.sop_class import UnifiedProcedureStepEvent, UnifiedProcedureStepPush

from node.dicom.contexts import PLAIN_TRANSFER_SYNTAXES
from node.errors import PeerError, ReadFirstError
from node.ledger import expiry
from node.ledger.engine import Ledger
from node.ledger.tables import EVENT_REPORT
from node.loops import OneAtATime, going_on
from node.sending.scu import Requestor, associate
from node.settings import Peer, Settings
from node.worklist.events import event_reports, subscriptions
from node.worklist.events.event_reports import MOST_REFUSALS, Report, Subscriber
from node.worklist.items.changes import restarted
from node.worklist.items.json_model import to_dataset

_log = structlog.get_logger(__name__)
_TICK = 0.1  # seconds between looks
_BATCH = 100  # reports of one association
_AT_ONCE = 8  # subscribers served at the same time
_ANSWER_SECONDS = 10.0  # to answer one report; nothing has to be done for it
_HOUR = 3600.0

SOP_CLASSES: tuple[str, ...] = (UnifiedProcedureStepEvent,)


class Notifier:
    """The loop that tells subscribers; `run` in a thread of its own until `stop`."""

    def __init__(self, settings: Settings, ledger: Ledger, clock: Callable[[], float] = time.time) -> None:
        self._settings, self._ledger, self._clock = settings, ledger, clock
        self._requestor = Requestor(settings.node.ae_title, settings.node.tls)
        self._stopping = threading.Event()
        self._turns = OneAtATime(self._serve, _AT_ONCE, "event", self._stopping)

    def run(self) -> None:
        """Tell until stopped; begins with SCP Status Change."""
        started = False
        while not self._stopping.is_set():
            with going_on("event reports wait", self._stopping):
                if not started:
                    self.say_restarted(self._clock())
                    started = True
                self.look(self._clock())
            self._stopping.wait(_TICK)

    def stop(self) -> None:
        """End `run` soon; what is being sent is answered within 10 s, or sent again at the next start."""
        self._stopping.set()
        self._turns.close()

    def say_restarted(self, now: float) -> None:
        """Queue SCP Status Change for every subscriber and for those whom the settings name."""
        named = [Subscriber(ae_title) for ae_title in self._settings.worklist.status_to]
        event = restarted(subscriptions_kept=True, items_kept=True)
        with self._ledger.write() as connection:
            event_reports.put_status(
                connection, event, sorted({*named, *subscriptions.all_subscribers(connection)}), now
            )

    def look(self, now: float) -> None:
        """Begin to serve whoever is due, and drop what is too old."""
        oldest = now - self._settings.worklist.event_hours * _HOUR
        with self._ledger.read() as connection:
            old = expiry.has_older(connection, EVENT_REPORT, oldest)
        if old:
            self._expire(oldest)
        with self._ledger.read() as connection:
            due = event_reports.due(connection, now)
        for subscriber in due:
            self._turns.begin(subscriber)

    def _expire(self, before: float) -> None:
        with self._ledger.write() as connection:
            missed = expiry.expire(connection, EVENT_REPORT, before)
        for ae_title, number in missed.items():
            _log.warning("event reports dropped, nobody answered in time", peer=ae_title, reports=number)

    def _serve(self, subscriber: Subscriber) -> None:
        try:
            self.serve(subscriber)
        except Exception:  # noqa: BLE001  # outermost of the pool's threads
            _log.exception("event reports wait", peer=subscriber.ae_title)

    def serve(self, subscriber: Subscriber) -> None:
        """Send what waits for one subscriber, over one association; put it off where that fails."""
        try:
            peer = self._settings.peer_called(subscriber.ae_title)
            if peer is None:
                raise PeerError(f"no [peers.…] table has ae_title = {subscriber.ae_title}")
            self._send(subscriber, peer)
        except ReadFirstError as error:
            with self._ledger.write() as connection:
                pause = event_reports.postponed(connection, subscriber, self._clock(), random.random())  # noqa: S311
            seconds = round(pause, 1)
            _log.warning("event reports wait", peer=subscriber.ae_title, reason=str(error), again_in_seconds=seconds)

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

    def _send_one(self, association: Association, subscriber: Subscriber, report: Report) -> None:
        if not association.is_established:
            raise PeerError("the peer ended the association")
        answer, _ = association.send_n_event_report(
            to_dataset(report.information), report.event_type, UnifiedProcedureStepPush, report.sop_instance_uid,
            meta_uid=UnifiedProcedureStepEvent,
        )  # fmt: skip
        status = answer.get("Status")
        if status is None:
            association.abort()
            raise PeerError("the peer did not answer an event report")
        if status != 0 and status & 0xF000 != 0xB000 and report.attempts + 1 < MOST_REFUSALS:
            raise PeerError(f"the peer answered an event report with 0x{status:04X}")
        with self._ledger.write() as connection:
            event_reports.answered(connection, report)
        log = _log.info if status == 0 else _log.warning
        log(
            "event reported", peer=subscriber.ae_title, event_type=report.event_type.name,
            sop_instance_uid=report.sop_instance_uid, status=f"0x{status:04X}",
        )  # fmt: skip
