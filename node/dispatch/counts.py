"""Peers' counts of the instances of studies that still receive, each peer's in a lane of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

import structlog

from node.audit import Recorder
from node.errors import ReadFirstError
from node.ledger.engine import Ledger
from node.loops import KeyedExecutor
from node.sending import deliveries, scu
from node.sending.scu import Requestor
from node.settings import Settings

_log = structlog.get_logger(__name__)


class Counts:
    """How many instances of a study peers with `query = true` count.

    They are queried when a sender has finished, and when it pauses while its association is open. Each peer is asked
    about one study after the other, by a thread of its own: one that hangs holds back no other peer's counts, and is
    not asked about studies that have become complete meanwhile.
    """

    def __init__(self, settings: Settings, ledger: Ledger, wake: Callable[[], None], audit: Recorder) -> None:
        self._peers = settings.peers_that(lambda peer: peer.query)
        self._requestor = Requestor.of(settings)
        self._ledger, self._wake, self._audit = ledger, wake, audit
        self._lanes = KeyedExecutor("count", self._serve)
        self._lock = threading.Lock()
        self._waiting: dict[str, dict[str, None]] = {name: {} for name in self._peers}  # in their order
        self._receiving: frozenset[str] = frozenset()  # at the latest look
        self._answers: dict[str, dict[str, int]] = {}
        self._paused: dict[str, float] = {}

    def ask(self, study_instance_uids: frozenset[str]) -> None:
        """Ask every such peer about the studies, without waiting for the answers."""
        for name, waiting in self._waiting.items():
            with self._lock:
                waiting.update(dict.fromkeys(study_instance_uids))
            self._lanes.submit(name, again=True)

    def ask_once(self, study_instance_uid: str, last_at: float) -> None:
        """Ask, unless it was asked since the study's last instance, at `last_at`."""
        if self._peers and self._paused.get(study_instance_uid) != last_at:
            self._paused[study_instance_uid] = last_at
            self.ask(frozenset({study_instance_uid}))

    def of(self, study_instance_uid: str) -> tuple[tuple[str, int], ...]:
        """The latest answers about one study."""
        with self._lock:
            return tuple(self._answers.get(study_instance_uid, {}).items())

    def keep_only(self, study_instance_uids: Collection[str]) -> None:
        """Forget all other studies: they are complete."""
        with self._lock:
            complete, self._receiving = self._receiving - set(study_instance_uids), frozenset(study_instance_uids)
            for waiting in self._waiting.values():  # one that began to arrive just now waits, and is in neither
                for uid in complete & waiting.keys():
                    del waiting[uid]
            for known in (self._answers, self._paused):
                for uid in known.keys() - study_instance_uids:
                    known.pop(uid, None)

    def close(self) -> None:
        """Stop asking."""
        self._lanes.close()

    def _serve(self, name: str) -> None:
        while (uid := self._next(name)) is not None and not self._lanes.closed:
            try:
                self._ask(name, uid)
            except Exception:  # noqa: BLE001  # outermost of its thread: the next study is asked about
                _log.exception("the peer's count could not be read", peer=name, study=uid)

    def _next(self, name: str) -> str | None:
        with self._lock:
            uid = next(iter(self._waiting[name]), None)
            self._waiting[name].pop(uid or "", None)
            return uid

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
            with self._lock:
                self._answers.setdefault(uid, {})[name] = count
            self._wake()
