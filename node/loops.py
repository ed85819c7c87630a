"""The loops of the node: a step that fails is logged and ends nothing, and nobody is served twice at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

import structlog

from node.errors import ReadFirstError

_log = structlog.get_logger(__name__)
_PAUSE = 1.0  # seconds after a step that failed
T = TypeVar("T", bound=Hashable)


class Loop(Protocol):
    """Something that runs in a thread of its own until it is stopped."""

    def run(self) -> None:
        """Run until stopped."""

    def stop(self) -> None:
        """End `run` soon."""


@contextmanager
def running(name: str, *loops: Loop, patience: float | None = None) -> Iterator[None]:
    """Run each loop in a thread while the body runs; then stop them and wait, at most `patience` seconds for each."""
    threads = [threading.Thread(target=loop.run, name=name, daemon=True) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for loop in loops:
            loop.stop()
        for thread in threads:
            thread.join(patience)


def run_forever(step: Callable[[], float | None], trouble: str, stopping: threading.Event, **values: str) -> None:
    """Call `step` again and again until stopped, with pauses of as many seconds as it returns.

    A step that fails is logged as `trouble`, and the next one tries again.
    """
    while not stopping.is_set():
        pause: float | None = 0.0
        with logged(trouble, stopping, **values):
            pause = step()
        stopping.wait(pause or 0.0)


@contextmanager
def logged(trouble: str, stopping: threading.Event, **values: str) -> Iterator[None]:
    """Log why the body failed as `trouble`, wait a moment or until stopped, and go on."""
    try:
        yield
    except ReadFirstError as error:
        _log.error(trouble, **values, reason=str(error))
        stopping.wait(_PAUSE)
    except Exception:  # noqa: BLE001  # outermost: a bug of ours must not stop a loop
        _log.exception(trouble, **values)
        stopping.wait(_PAUSE)


class KeyedExecutor(Generic[T]):
    """A pool of threads in which each key is served by one thread at a time; safe to use from many.

    Parameters
    ----------
    serve
        Serves one; what it raises is logged as `trouble`.
    stopping
        Once it is set nobody is begun with.
    """

    def __init__(
        self, serve: Callable[[T], None], most: int, name: str, trouble: str, stopping: threading.Event
    ) -> None:
        self._serve, self._trouble, self._stopping = serve, trouble, stopping
        self._pool = ThreadPoolExecutor(max_workers=most, thread_name_prefix=name)
        self._busy: set[T] = set()
        self._lock = threading.Lock()

    def submit(self, key: T) -> None:
        """Serve soon, unless it is being served already."""
        with self._lock:
            begin = key not in self._busy and not self._stopping.is_set()
            if begin:
                self._busy.add(key)
        if begin:
            self._pool.submit(self._run, key)

    def close(self) -> None:
        """Begin with nobody any more; what is under way is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, key: T) -> None:
        try:
            with logged(self._trouble, self._stopping, key=str(key)):
                self._serve(key)
        finally:
            with self._lock:
                self._busy.discard(key)
