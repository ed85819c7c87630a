"""The loop of both roles: whoever is due is served in a thread of a pool, each peer by one at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Protocol

from node.commitment.result_sender import ResultSender
from node.commitment.scu import CommitmentScu
from node.ledger.engine import Ledger
from node.loops import KeyedExecutor, run_forever, running
from node.settings import Settings

_WAITS = "storage commitment waits"
_TICK = 0.25  # seconds between looks
_AT_ONCE = 8  # peers served at the same time


class Role(Protocol):
    """One of the two roles."""

    def due(self, now: float) -> Iterable[str]:
        """Who is to be served."""

    def serve(self, who: str) -> None:
        """Serve one; until it returns nobody else does."""


class CommitmentLoop:
    """`run` in a thread of its own until `stop`."""

    def __init__(self, settings: Settings, ledger: Ledger, clock: Callable[[], float] = time.time) -> None:
        self._stopping, self._clock = threading.Event(), clock
        self._roles: tuple[Role, ...] = tuple(
            role(settings, ledger, self._stopping, clock) for role in (CommitmentScu, ResultSender)
        )
        self._executor = KeyedExecutor(self._serve, _AT_ONCE, "commitment", _WAITS, self._stopping)

    def run(self) -> None:
        """Serve until stopped."""
        run_forever(self._look, _WAITS, self._stopping)

    def stop(self) -> None:
        """End `run` soon; what is under way is in the ledger."""
        self._stopping.set()
        self._executor.close()

    def _look(self) -> float:
        """Begin to serve whoever is due and is not being served."""
        for number, role in enumerate(self._roles):
            for who in role.due(self._clock()):
                self._executor.submit((number, who))
        return _TICK

    def _serve(self, key: tuple[int, str]) -> None:
        role, who = key
        self._roles[role].serve(who)


def committing(settings: Settings, ledger: Ledger) -> AbstractContextManager[None]:
    """Request commitment of receivers, and send senders their results, while the body runs."""
    return running("commitment", CommitmentLoop(settings, ledger))
