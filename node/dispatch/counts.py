"""Peers' counts of the instances of studies that still receive."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor

import structlog

from node.audit import Recorder
from node.errors import ReadFirstError
from node.ledger.engine import Ledger
from node.sending import deliveries, scu
from node.sending.scu import Requestor
from node.settings import Settings

_log = structlog.get_logger(__name__)
_AT_ONCE = 4  # queries


class Counts:
    """How many instances of a study peers with `query = true` count.

    They are queried when a sender has finished, and when it pauses while its association is open.
    """

    def __init__(self, settings: Settings, ledger: Ledger, wake: Callable[[], None], audit: Recorder) -> None:
        self._peers = settings.peers_that(lambda peer: peer.query)
        self._requestor = Requestor.of(settings)
        self._ledger, self._wake, self._audit = ledger, wake, audit
        self._pool = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="count")
        self._answers: dict[str, dict[str, int]] = {}
        self._paused: dict[str, float] = {}

    def ask(self, study_instance_uids: frozenset[str]) -> None:
        """Ask every such peer about the studies, without waiting for the answers."""
        for uid in study_instance_uids:
            for name in self._peers:
                self._pool.submit(self._ask, name, uid)

    def ask_once(self, study_instance_uid: str, last_at: float) -> None:
        """Ask, unless it was asked since the study's last instance, at `last_at`."""
        if self._peers and self._paused.get(study_instance_uid) != last_at:
            self._paused[study_instance_uid] = last_at
            self.ask(frozenset({study_instance_uid}))

    def of(self, study_instance_uid: str) -> tuple[tuple[str, int], ...]:
        """The latest answers about one study."""
        return tuple(self._answers.get(study_instance_uid, {}).items())

    def keep_only(self, study_instance_uids: Collection[str]) -> None:
        """Forget all other studies: they are complete."""
        for known in (self._answers, self._paused):
            for uid in known.keys() - study_instance_uids:
                known.pop(uid, None)

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
