"""The loop that asks and tells: whoever is due is served in a thread of a pool, each peer by one at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from node.commitment.asker import Asker
from node.commitment.reporter import Reporter
from node.ledger.engine import Ledger
from node.loops import OneAtATime, going_on
from node.settings import Settings

_WAITS = "storage commitment waits"
_TICK = 0.25  # seconds between looks
_AT_ONCE = 8  # peers served at the same time


class Part(Protocol):
    """One of the two roles."""

    def due(self, now: float) -> Iterable[str]:
        """Who is to be served."""

    def serve(self, who: str) -> None:
        """Serve one; until it returns nobody else does."""


class Loop:
    """`run` in a thread of its own until `stop`."""

    def __init__(self, settings: Settings, ledger: Ledger, clock: Callable[[], float] = time.time) -> None:
        self._stopping, self._clock = threading.Event(), clock
        roles = (Asker, Reporter)
        self._parts: tuple[Part, ...] = tuple(role(settings, ledger, self._stopping, clock) for role in roles)
        self._turns = OneAtATime(self._serve, _AT_ONCE, "commitment", self._stopping)

    def run(self) -> None:
        """Serve until stopped; a failing look is logged and the next one tries again."""
        while not self._stopping.wait(_TICK):
            with going_on(_WAITS, self._stopping):
                self.look(self._clock())

    def stop(self) -> None:
        """End `run` soon; what is under way is in the ledger."""
        self._stopping.set()
        self._turns.close()

    def look(self, now: float) -> None:
        """Begin to serve whoever is due and is not being served."""
        for part in self._parts:
            for who in part.due(now):
                self._turns.begin((part, who))

    def _serve(self, turn: tuple[Part, str]) -> None:
        part, who = turn
        with going_on(_WAITS, self._stopping, peer=who):
            part.serve(who)


@contextmanager
def keeping_promises(settings: Settings, ledger: Ledger) -> Iterator[None]:
    """Ask and tell while the body runs."""
    loop = Loop(settings, ledger)
    thread = threading.Thread(target=loop.run, name="commitment", daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.stop()
        thread.join()
