"""How fast a peer may send: whoever is faster is read later, and waits by TCP's own flow control."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_BURST = 1.0  # seconds of its rate that a peer may be ahead


class RateLimiter:
    """Limits the rate of each peer over all its associations; safe to use from many threads.

    Parameters
    ----------
    clock, sleep
        Seconds that only grow, and waiting.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._lock, self._clock, self._sleep = threading.Lock(), clock, sleep
        self._due: dict[tuple[str, str], float] = {}

    def acquire(self, unit: str, peer: str, amount: float, per_second: float) -> None:
        """Wait until `amount` more of a unit is within the peer's rate; 0 is no limit."""
        if not per_second:
            return
        with self._lock:
            now = self._clock()
            due = max(self._due.get((unit, peer), 0.0), now - _BURST) + amount / per_second
            self._due[unit, peer] = due
        if due > now:
            self._sleep(due - now)
