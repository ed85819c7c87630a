"""What every loop of the node needs: a turn that fails is said and ends nothing, and nobody is served twice at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

import structlog

from node.errors import ReadFirstError

_log = structlog.get_logger(__name__)
_PAUSE = 1.0  # seconds after a turn that failed
T = TypeVar("T", bound=Hashable)


@contextmanager
def going_on(trouble: str, stopping: threading.Event, **values: str) -> Iterator[None]:
    """Log why the body failed as `trouble`, wait a moment or until stopped, and go on."""
    try:
        yield
    except ReadFirstError as error:
        _log.error(trouble, **values, reason=str(error))
        stopping.wait(_PAUSE)
    except Exception:  # noqa: BLE001  # outermost: a bug of ours must not stop a loop
        _log.exception(trouble, **values)
        stopping.wait(_PAUSE)


class OneAtATime(Generic[T]):
    """A pool of threads in which each is served by one thread at a time; safe to use from many.

    Parameters
    ----------
    serve
        Serves one; raises nothing.
    stopping
        Once it is set nobody is begun with.
    """

    def __init__(self, serve: Callable[[T], None], most: int, name: str, stopping: threading.Event) -> None:
        self._serve, self._stopping = serve, stopping
        self._pool = ThreadPoolExecutor(max_workers=most, thread_name_prefix=name)
        self._busy: set[T] = set()
        self._lock = threading.Lock()

    def begin(self, who: T) -> None:
        """Serve soon, unless one is being served already."""
        with self._lock:
            begin = who not in self._busy and not self._stopping.is_set()
            if begin:
                self._busy.add(who)
        if begin:
            self._pool.submit(self._run, who)

    def close(self) -> None:
        """Begin with nobody any more; what is under way is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, who: T) -> None:
        try:
            self._serve(who)
        finally:
            with self._lock:
                self._busy.discard(who)
