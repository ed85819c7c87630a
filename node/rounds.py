"""The node's rounds: complete studies are queued, and the bell is rung for everything that the ledger says is due."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog
from sqlalchemy import RowMapping

from node import outbox, scu, studies
from node.broker import ANALYZE, DELIVER, Broker
from node.errors import PeerError, QueueUnavailable, ReadFirstError
from node.intake import Evidence, reason_complete
from node.ledger import Ledger
from node.scu import Requestor
from node.senders import Senders
from node.settings import Settings

_log = structlog.get_logger(__name__)
_TICK, _PAUSE = 0.1, 1.0  # seconds between rounds, and after one that failed
RING_AGAIN = 10.0  # seconds after which a message that no worker has taken, in an empty queue, counts as lost


class Counts:
    """What peers with `query = true` say how many instances a study has; asked when a sender has finished."""

    def __init__(self, settings: Settings, ledger: Ledger, wake: Callable[[], None]) -> None:
        self._peers = settings.peers_that(lambda peer: peer.query)
        self._requestor = Requestor(settings.node.ae_title, settings.node.tls)
        self._ledger, self._wake = ledger, wake
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

    def forget(self, study_instance_uid: str) -> None:
        """The study is complete."""
        self._answers.pop(study_instance_uid, None)

    def close(self) -> None:
        """Stop asking."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, name: str, uid: str) -> None:
        try:
            count = scu.count_instances(self._requestor, self._peers[name], uid)
        except PeerError as error:
            _log.warning("the peer did not say how many instances it has", peer=name, study=uid, reason=str(error))
            return
        if count is not None:
            with self._ledger.read() as connection:  # what it counts of ours is not part of the study as sent
                count -= outbox.delivered_count(connection, uid, name)
            self._answers.setdefault(uid, {})[name] = count
            self._wake()


class Rounds:
    """The loop of the node; `run` in a thread of its own until `stop`."""

    def __init__(
        self, settings: Settings, ledger: Ledger, broker: Broker, received: Callable[[RowMapping], None]
    ) -> None:
        self._settings, self._ledger, self._broker, self._on_complete = settings, ledger, broker, received
        self._wakeup, self._stopping = threading.Event(), threading.Event()
        self.counts = Counts(settings, ledger, self._wakeup.set)
        self.senders = Senders(self._ended)
        self._queue_was_there = True

    def run(self) -> None:
        """Go round until stopped; a failing round is logged and the next one tries again."""
        while not self._stopping.is_set():
            self._wakeup.wait(_TICK)
            self._wakeup.clear()
            try:
                self.go_round(time.time())
            except QueueUnavailable as error:
                self._say_queue_gone(error)
            except ReadFirstError as error:
                _log.error("a round failed, the next one tries again", reason=str(error))
                self._stopping.wait(_PAUSE)
            except Exception:  # noqa: BLE001  # outermost: a bug of ours must not stop the rounds
                _log.exception("a round failed, the next one tries again")
                self._stopping.wait(_PAUSE)

    def stop(self) -> None:
        """End `run` soon."""
        self._stopping.set()
        self._wakeup.set()
        self.counts.close()

    def go_round(self, now: float) -> None:
        """One round: complete, release what was lost, ring."""
        self._complete(now)
        self._release_lost(now)
        self._ring_analyses(now)
        self._ring_deliveries(now)
        self._queue_was_there = True

    def _ended(self, studies_brought: frozenset[str]) -> None:
        self.counts.ask(studies_brought)
        self._wakeup.set()

    def _complete(self, now: float) -> None:
        with self._ledger.read() as connection:
            rows = studies.receiving(connection)
        for row in rows:
            uid = row["study_instance_uid"]
            evidence = Evidence(
                instances=row["instances"],
                last_received_at=max(row["last_received_at"], self.senders.ended_at(uid)),
                being_sent=self.senders.is_sending(uid),
                counts=self.counts.of(uid),
            )
            reason = reason_complete(evidence, now, self._settings.node.quiet_seconds)
            if reason:
                self._queue(row, reason, now)

    def _queue(self, row: RowMapping, reason: str, now: float) -> None:
        uid = row["study_instance_uid"]
        self._on_complete(row)
        with self._ledger.write() as connection:
            done = studies.complete(connection, row, reason, now)
        if done:
            self.senders.forget(uid)
            self.counts.forget(uid)
            _log.info("study complete", study=uid, instances=row["instances"], evidence=reason)

    def _release_lost(self, now: float) -> None:
        with self._ledger.read() as connection:
            lost = studies.lost(connection, now)
        if lost:
            with self._ledger.write() as connection:
                studies.release_lost(connection, now)

    def _ring_analyses(self, now: float) -> None:
        with self._ledger.read() as connection:
            rows = studies.unrung(connection, now - RING_AGAIN)
        if any(row["rung_at"] is not None for row in rows) and self._broker.waiting(ANALYZE):
            rows = [row for row in rows if row["rung_at"] is None]
        for row in rows:
            self._broker.analyze(row["study_instance_uid"], row["generation"])
            with self._ledger.write() as connection:
                studies.rung(connection, row["study_instance_uid"], now)

    def _ring_deliveries(self, now: float) -> None:
        with self._ledger.read() as connection:
            pairs = outbox.due(connection, now, now - RING_AGAIN)
        if pairs and self._broker.waiting(DELIVER):
            return  # the messages are there, the workers are behind
        for uid, peer in pairs:
            self._broker.deliver(uid, peer)
            with self._ledger.write() as connection:
                outbox.rung(connection, uid, peer, now)

    def _say_queue_gone(self, error: QueueUnavailable) -> None:
        if self._queue_was_there:
            _log.error("the queue is gone; nothing is lost, studies wait in the ledger", reason=str(error))
        self._queue_was_there = False
        self._stopping.wait(_PAUSE)
