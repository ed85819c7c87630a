"""The loop that asks and tells: whoever is due is served in a thread of a pool, each peer by one at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

import structlog

from node.commitment.asker import Asker
from node.commitment.reporter import Reporter
from node.errors import ReadFirstError
from node.ledger import Ledger
from node.settings import Settings

_log = structlog.get_logger(__name__)
_TICK, _PAUSE = 0.25, 1.0  # seconds between looks, and after one that failed
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
        self._pool = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="commitment")
        self._busy: set[tuple[Part, str]] = set()
        self._lock = threading.Lock()

    def run(self) -> None:
        """Serve until stopped; a failing look is logged and the next one tries again."""
        while not self._stopping.wait(_TICK):
            try:
                self.look(self._clock())
            except ReadFirstError as error:
                _log.error("storage commitment waits", reason=str(error))
                self._stopping.wait(_PAUSE)
            except Exception:  # noqa: BLE001  # outermost: a bug of ours must not stop the loop
                _log.exception("storage commitment waits")
                self._stopping.wait(_PAUSE)

    def stop(self) -> None:
        """End `run` soon; what is under way is in the ledger."""
        self._stopping.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def look(self, now: float) -> None:
        """Begin to serve whoever is due and is not being served."""
        for part in self._parts:
            for who in part.due(now):
                self._begin((part, who))

    def _begin(self, turn: tuple[Part, str]) -> None:
        with self._lock:
            begin = turn not in self._busy and not self._stopping.is_set()
            if begin:
                self._busy.add(turn)
        if begin:
            self._pool.submit(self._serve, turn)

    def _serve(self, turn: tuple[Part, str]) -> None:
        part, who = turn
        try:
            part.serve(who)
        except ReadFirstError as error:
            _log.error("storage commitment waits", peer=who, reason=str(error))
            self._stopping.wait(_PAUSE)
        except Exception:  # noqa: BLE001  # outermost of the pool's threads
            _log.exception("storage commitment waits", peer=who)
            self._stopping.wait(_PAUSE)
        finally:
            with self._lock:
                self._busy.discard(turn)


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
