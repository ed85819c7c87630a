"""The dispatcher: complete studies are queued, and the workers are notified of everything that is due in the ledger."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

import structlog
from sqlalchemy import Connection, RowMapping

from node.admission.associations import AssociationRegistry, StudyCounts
from node.admission.policy import Caller
from node.audit import Recorder
from node.dispatch import notifications
from node.dispatch.broker import ANALYZE, DELIVER, Broker
from node.dispatch.completeness import Evidence, reason_complete
from node.dispatch.fairness import Waiting, next_studies
from node.entities import HIGH
from node.errors import QueueUnavailable, ReadFirstError
from node.ledger import clock, studies
from node.ledger.engine import Ledger
from node.loops import Loop
from node.sending import deliveries, scu
from node.sending.scu import Requestor
from node.settings import Settings
from node.worklist.events import writing
from node.worklist.reading import work_items
from node.worklist.triage import decisions

_log = structlog.get_logger(__name__)
_TICK, _PAUSE = 0.1, 1.0  # seconds between looks, and after one that found no queue
_DAY, _FORGET_AGAIN = 86400.0, 3600.0
_ALERTS_AGAIN = 5.0  # seconds between looks at the alert budget
MOST_WAITING = 4  # messages in the queue before routine studies wait in the ledger, where the senders take turns
NOTIFY_AGAIN = 10.0  # seconds after which a message that no worker has taken, in an empty queue, counts as lost


class Counts:
    """How many instances of a study peers with `query = true` count; they are queried when a sender has finished."""

    def __init__(self, settings: Settings, ledger: Ledger, wake: Callable[[], None], audit: Recorder) -> None:
        self._peers = settings.peers_that(lambda peer: peer.query)
        self._requestor = Requestor.of(settings)
        self._ledger, self._wake, self._audit = ledger, wake, audit
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="count")
        self._answers: dict[str, dict[str, int]] = {}

    def ask(self, study_instance_uids: frozenset[str]) -> None:
        """Ask every such peer about the studies, without waiting for the answers."""
        for uid in study_instance_uids:
            for name in self._peers:
                self._pool.submit(self._ask, name, uid)

    def of(self, study_instance_uid: str) -> tuple[tuple[str, int], ...]:
        """The latest answers about one study."""
        return tuple(self._answers.get(study_instance_uid, {}).items())

    def keep_only(self, study_instance_uids: Collection[str]) -> None:
        """Forget the answers about all other studies: they are complete."""
        for uid in self._answers.keys() - study_instance_uids:
            self._answers.pop(uid, None)

    def close(self) -> None:
        """Stop asking."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, name: str, uid: str) -> None:
        self._audit.asked(self._peers[name], *scu.study_query(uid))
        try:
            count = scu.count_instances(self._requestor, self._peers[name], uid)
        except ReadFirstError as error:
            _log.warning("the peer did not answer how many instances it has", peer=name, study=uid, reason=str(error))
            return
        if count is not None:
            with self._ledger.read() as connection:  # what it counts of ours is not part of the study as sent
                count -= deliveries.delivered_count(connection, uid, name)
            self._answers.setdefault(uid, {})[name] = count
            self._wake()


OnComplete = Callable[[RowMapping], Callable[[Connection], None]]
"""Of a study that is complete, what else is to be written; it may read files, which takes longer than a transaction."""


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
        self._settings, self._ledger, self._broker, self._on_complete = settings, ledger, broker, on_complete
        super().__init__("dispatching failed, it is tried again")
        self._wakeup = threading.Event()
        self.counts = Counts(settings, ledger, self._wakeup.set, audit or Recorder(settings, ledger))
        self._clock = clock
        self.associations = associations or AssociationRegistry(settings, clock)
        self.associations.subscribe(ended=self._ended)
        self._alerts_again = self._forget_again = 0.0
        self._latest = float("inf")  # the clock's latest time; before the first look nobody knows
        self._queue_was_there, self._troubled = True, set[str]()

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
        with self._ledger.read() as connection:
            rows = studies.receiving(connection)
        receiving = {row["study_instance_uid"] for row in rows}
        self.associations.keep_only(receiving)
        self.counts.keep_only(receiving)
        for row in rows:
            reason = reason_complete(self._evidence(row), now, self._settings.node.quiet_seconds)
            if reason:
                self._queue(row, reason, now)

    def _evidence(self, row: RowMapping) -> Evidence:
        uid = row["study_instance_uid"]
        being_sent, end = self.associations.is_sending(uid), self.associations.last_end(uid)
        return Evidence(
            instances=row["instances"],
            last_at=max(row["last_received_at"], end.at),
            being_sent=being_sent,
            ended=end.how,
            counts=self.counts.of(uid),
        )

    def _queue(self, row: RowMapping, reason: str, now: float) -> None:
        uid = row["study_instance_uid"]
        try:
            write = self._on_complete(row)
            with self._ledger.write() as connection:
                done = studies.complete(connection, row, reason, now)
                if done:
                    write(connection)
        except ReadFirstError:
            raise
        except Exception:  # noqa: BLE001  # a bug of ours that one study meets must not hold the others back
            if uid not in self._troubled:
                _log.exception("a study cannot be queued", study=uid)
            self._troubled.add(uid)
            return
        if done:
            _log.info("study complete", study=uid, instances=row["instances"], evidence=reason)

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
            busy, urgent = notifications.notified_by_sender(connection), notifications.notified_as(connection, HIGH)
        if not rows:
            return
        waiting = self._broker.waiting(ANALYZE)
        due = [_waiting(row) for row in rows if not waiting or _is_new(row)]
        free, free_urgent = (max(MOST_WAITING - known, 0) for known in (waiting, min(urgent, waiting)))
        for study in next_studies(due, busy, free, free_urgent):
            self._broker.analyze(study.study_instance_uid, study.generation, study.rank)
            with self._ledger.write() as connection:
                notifications.mark_notified(connection, study.study_instance_uid, study.generation, now, study.rank)

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


def _waiting(row: RowMapping) -> Waiting:
    return Waiting(row["study_instance_uid"], row["generation"], row["calling_ae_title"], row["rank"], row["queued_at"])
