"""Who has seen what just now: a page asks for its pictures, and for its lines whenever something changes."""

from __future__ import annotations

import threading

WINDOW = 600.0  # seconds in which what the same browser asks for again is one viewing
_MOST = 10_000  # viewings that are remembered


class Viewings:
    """The viewings of the last minutes; safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], float] = {}

    def is_new(self, address: str, what: str, now: float) -> bool:
        """Whether this is none of the viewings that are remembered; it is one from now on."""
        with self._lock:
            if now < self._seen.get((address, what), 0.0):
                return False
            if len(self._seen) >= _MOST:
                self._seen = {key: until for key, until in self._seen.items() if until > now}
            self._seen[address, what] = now + WINDOW
            return True
