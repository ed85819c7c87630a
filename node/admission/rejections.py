"""What the log says of those who are not let in: each of them, as long as nobody fills the log with his tries."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import structlog

_log = structlog.get_logger(__name__)
_LINES, _SECONDS = 60, 60.0


class Refusals:
    """At most 60 lines a minute; how many were left out is said with the next one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock, self._clock = threading.Lock(), clock
        self._written = deque[float](maxlen=_LINES)
        self._left_out = 0

    def say(self, event: str, **values: str) -> None:
        """Write a warning, if there is room for it."""
        with self._lock:
            now = self._clock()
            if len(self._written) == _LINES and now - self._written[0] < _SECONDS:
                self._left_out += 1
                return
            self._written.append(now)
            left_out, self._left_out = self._left_out, 0
        if left_out:
            _log.warning("refusals were left out of the log", count=left_out)
        _log.warning(event, **values)
