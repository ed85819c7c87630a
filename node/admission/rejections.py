"""What the log shows of rejected callers: each of them, but never so many that their attempts fill the log."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import structlog

_log = structlog.get_logger(__name__)
_LINES, _SECONDS = 60, 60.0


class RejectionLog:
    """At most 60 lines a minute; the next line after that states how many were left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock, self._clock = threading.Lock(), clock
        self._written = deque[float](maxlen=_LINES)
        self._left_out = 0

    def warn(self, event: str, **values: str) -> None:
        """Write a warning, if there is room for it."""
        with self._lock:
            now = self._clock()
            if len(self._written) == _LINES and now - self._written[0] < _SECONDS:
                self._left_out += 1
                return
            self._written.append(now)
            left_out, self._left_out = self._left_out, 0
        if left_out:
            _log.warning("rejections were left out of the log", count=left_out)
        _log.warning(event, **values)
