"""A throttle for those who guess tokens."""

from __future__ import annotations

import threading
from collections import deque


class LoginThrottle:
    """Slows down those who guess the token: so many failures a minute from one address, and from all together."""

    def __init__(self, each: int = 5, together: int = 50, seconds: float = 60.0) -> None:
        self._each, self._together, self._seconds = each, together, seconds
        self._failures: deque[tuple[float, str]] = deque(maxlen=together)
        self._lock = threading.Lock()

    def wait(self, address: str, now: float) -> float:
        """Seconds until this address may try again; 0 now."""
        with self._lock:
            recent = [(at, who) for at, who in self._failures if at > now - self._seconds]
            own = [at for at, who in recent if who == address]
            if len(own) >= self._each:
                return own[-self._each] + self._seconds - now
            if len(recent) >= self._together:
                return recent[0][0] + self._seconds - now
        return 0.0

    def failed(self, address: str, now: float) -> None:
        """Count a wrong token of this address."""
        with self._lock:
            self._failures.append((now, address))
