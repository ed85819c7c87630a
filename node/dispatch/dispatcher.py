"""The dispatcher: complete studies are queued, and the workers are notified of everything that is due in the ledger."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping

import structlog
from sqlalchemy import RowMapping

from node.admission.associations import AssociationRegistry, StudyCounts
from node.admission.policy import Caller
from node.audit import Recorder
from node.dispatch import notifications
from node.dispatch.broker import ANALYZE, DELIVER, Broker
from node.dispatch.completeness import Evidence, reason_complete
from node.dispatch.counts import Counts
from node.dispatch.fairness import MOST_WAITING, Waiting, next_studies
from node.dispatch.queueing import Complete, OnComplete, Queueing
from node.entities import HIGH
from node.errors import QueueUnavailable
from node.ledger import clock, studies
from node.ledger.engine import Ledger
from node.loops import Loop
from node.sending import deliveries
from node.settings import Settings
from node.worklist.events import writing
from node.worklist.orders import orders
from node.worklist.reading import work_items
from node.worklist.triage import decisions

_log = structlog.get_logger(__name__)
_TICK, _PAUSE = 0.1, 1.0  # seconds between looks, and after one that found no queue
_SLICE = 0.25  # seconds of a look in which studies are queued; then the workers are notified
_BATCH = 50  # studies that are queued in one transaction
_DAY, _FORGET_AGAIN = 86400.0, 3600.0
_ALERTS_AGAIN = 5.0  # seconds between looks at the alert budget
NOTIFY_AGAIN = 10.0  # seconds after which a message that no worker has taken, in an empty queue, counts as lost


class Dispatcher(Loop):
    """The loop of the node; `run` in a thread of its own until `stop`."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        broker: Broker,
        on_complete: OnComplete,
        clock: Callable[[], float] = time.time,
        audit: Recorder | None = None,
        associations: AssociationRegistry | None = None,
    ) -> None:
        self._settings, self._ledger, self._broker = settings, ledger, broker
        self.queueing = Queueing(ledger, on_complete)
        super().__init__("dispatching failed, it is tried again")
        self._wakeup = threading.Event()
        self.counts = Counts(settings, ledger, self._wakeup.set, audit or Recorder(settings, ledger))
        self._clock = clock
        self.associations = associations or AssociationRegistry(settings, clock)
        self.associations.subscribe(ended=self._ended)
        self._alerts_again = self._forget_again = 0.0
        self._latest = float("inf")  # the clock's latest time; before the first look nobody knows
        self._queue_was_there = True

    def stop(self) -> None:
        """End `run` soon."""
        super().stop()
        self._wakeup.set()
        self.counts.close()

    def step(self) -> float:
        """Dispatch when woken, or after a while."""
        self._wakeup.wait(_TICK)
        self._wakeup.clear()
        try:
            self.dispatch(self._clock())
        except QueueUnavailable as error:
            return self._log_queue_gone(error)
        return 0.0

    def dispatch(self, now: float) -> None:
        """Once: complete studies, release what was lost, notify the workers."""
        self._check_clock(now)
        self._complete(now)
        self._release_lost(now)
        self._release_alerts(now)
        self._forget_ended(now)
        self._notify_of_analyses(now)
        self._notify_of_deliveries(now)
        self._queue_was_there = True

    def _ended(self, _caller: Caller, received: Mapping[str, StudyCounts]) -> None:
        self.counts.ask(frozenset(received))
        self._wakeup.set()

    def _check_clock(self, now: float) -> None:
        """Where it was set back, perhaps while we did not run, nothing shall wait until it is as late again."""
        if now < self._latest - clock.STEP:
            with self._ledger.write() as connection:
                corrected = clock.correct_times(connection, now)
            self.associations.limit_ends(now)
            self._alerts_again, self._forget_again = min(self._alerts_again, now), min(self._forget_again, now)
            if corrected:
                _log.warning("the clock was set back; times that lay too far ahead are corrected", rows=corrected)
        self._latest = now

    def _complete(self, now: float) -> None:
        """Queue complete studies, the urgent ones first, for as long as `_SLICE`; the others in the next look."""
        with self._ledger.read() as connection:
            rows = studies.receiving(connection)
            urgent = orders.urgent(connection) if rows else frozenset()
        receiving = {row["study_instance_uid"] for row in rows}
        self.associations.keep_only(receiving)
        self.counts.keep_only(receiving)
        self.queueing.keep_only(receiving)
        complete = [found for row in rows if (found := self._if_complete(row, now))]
        complete.sort(key=lambda found: _order(found.row, urgent))
        ends_at = time.monotonic() + _SLICE
        for first in range(0, len(complete), _BATCH):
            self.queueing.queue(complete[first : first + _BATCH], now)
            if time.monotonic() > ends_at:
                self._wakeup.set()
                return

    def _if_complete(self, row: RowMapping, now: float) -> Complete | None:
        evidence, quiet = self._evidence(row), self._settings.node.quiet_seconds
        reason = reason_complete(evidence, now, quiet)
        if not reason and evidence.being_sent and now - evidence.last_at >= quiet:
            self.counts.ask_once(row["study_instance_uid"], evidence.last_at)
        return Complete(row, reason) if reason and self.queueing.is_due(row["study_instance_uid"], now) else None

    def _evidence(self, row: RowMapping) -> Evidence:
        uid = row["study_instance_uid"]
        being_sent, end = self.associations.is_sending(uid), self.associations.last_end(uid)
        return Evidence(
            instances=row["instances"],
            last_at=row["last_received_at"],
            being_sent=being_sent,
            ended=end.how,
            ended_at=end.at,
            counts=self.counts.of(uid),
        )

    def _release_lost(self, now: float) -> None:
        with self._ledger.read() as connection:
            lost = studies.lost(connection, now)
        if not lost:
            return
        with self._ledger.write() as connection:
            failed = studies.release_lost(connection, now)
            for uid, reason in failed.items():
                work_items.set_reason(connection, uid, reason, now)
        for uid, reason in failed.items():
            _log.error("study failed", study=uid, reason=reason)

    def _release_alerts(self, now: float) -> None:
        with self._ledger.read() as connection:
            waiting = decisions.waiting(connection)
        if not waiting or now < self._alerts_again:
            return
        self._alerts_again = now + _ALERTS_AGAIN
        with self._ledger.write() as connection:
            worklist = self._settings.worklist
            released = decisions.release(connection, worklist.policy, now, off=not worklist.sinks)
        for uid in released:
            _log.info("an alert that waited is raised", study=uid)

    def _forget_ended(self, now: float) -> None:
        if now < self._forget_again:
            return
        with self._ledger.write() as connection:
            dropped = writing.forget_ended(connection, now - self._settings.worklist.policy.keep_days * _DAY)
        self._forget_again = now + (_FORGET_AGAIN if not dropped else _ALERTS_AGAIN)
        if dropped:
            _log.info("work items that ended, or arrived, long ago were dropped", work_items=dropped)

    def _notify_of_analyses(self, now: float) -> None:
        with self._ledger.read() as connection:
            rows = notifications.unnotified(connection, now - NOTIFY_AGAIN, MOST_WAITING, now)
            busy = notifications.notified_by_sender(connection)
            notified = notifications.notified_by_precedence(connection)
        if not rows:
            return
        waiting = self._broker.waiting(ANALYZE)
        due = [_waiting(row) for row in rows if not waiting or _is_new(row)]
        for one in next_studies(due, busy, notified, waiting):
            study = one.study
            self._broker.analyze(study.study_instance_uid, study.generation, one.precedence)
            with self._ledger.write() as connection:
                notifications.mark_notified(connection, study.study_instance_uid, study.generation, now, one.precedence)

    def _notify_of_deliveries(self, now: float) -> None:
        with self._ledger.read() as connection:
            pairs = deliveries.due(connection, now, now - NOTIFY_AGAIN)
        if pairs and self._broker.waiting(DELIVER):
            return  # the messages are there, the workers are behind
        for peer in dict.fromkeys(peer for _uid, peer in pairs):  # one message: who gets it sends all that is due
            of_peer = [uid for uid, other in pairs if other == peer]
            self._broker.deliver(of_peer[0], peer)
            with self._ledger.write() as connection:
                for uid in of_peer:
                    deliveries.mark_notified(connection, uid, peer, now)

    def _log_queue_gone(self, error: QueueUnavailable) -> float:
        if self._queue_was_there:
            _log.error("the queue is gone; nothing is lost, studies wait in the ledger", reason=str(error))
        self._queue_was_there = False
        return _PAUSE


def _is_new(row: RowMapping) -> bool:
    """Whether no message of the study was sent yet, or none of so urgent a one."""
    return row["notified_at"] is None or row["rank"] < (row["notified_rank"] or 0)


def _order(row: RowMapping, urgent: Collection[str]) -> tuple[int, float]:
    ordered = row["study_instance_uid"] in urgent or row["accession_number"] in urgent
    return HIGH if ordered else row["sent_rank"], row["last_received_at"]


def _waiting(row: RowMapping) -> Waiting:
    return Waiting(row["study_instance_uid"], row["generation"], row["calling_ae_title"], row["rank"], row["queued_at"])
