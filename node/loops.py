"""The loops of the node: a step that fails is logged and ends nothing, and nobody is served twice at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

import structlog

from node.errors import ReadFirstError

_log = structlog.get_logger(__name__)
_PAUSE = 1.0  # seconds after a step that failed
_AT_ONCE = 8  # lanes served at the same time
T = TypeVar("T", bound=Hashable)


class Loop:
    """What is done again and again in a thread of its own (`running`), until it is stopped.

    Parameters
    ----------
    trouble
        How a step that fails is logged, with `values`; the next one tries again.
    """

    def __init__(self, trouble: str, **values: str) -> None:
        self._trouble, self._values = trouble, values
        self._stopping = threading.Event()

    def step(self) -> float:
        """Do it once; the seconds to wait before the next time."""
        raise NotImplementedError

    def run(self) -> None:
        """Step until stopped."""
        while not self._stopping.is_set():
            pause = 0.0
            with self._logged(**self._values):
                pause = self.step()
            self._stopping.wait(pause)

    def stop(self) -> None:
        """End `run` soon."""
        self._stopping.set()

    @contextmanager
    def _logged(self, **values: str) -> Iterator[None]:
        """Log why the body failed, wait a moment or until stopped, and go on."""
        try:
            yield
        except ReadFirstError as error:
            _log.error(self._trouble, **values, reason=str(error))
            self._stopping.wait(_PAUSE)
        except Exception:  # noqa: BLE001  # outermost: a bug of ours must not stop a loop
            _log.exception(self._trouble, **values)
            self._stopping.wait(_PAUSE)


class LaneLoop(Loop, Generic[T]):
    """Serves those that are due, each by one thread of a pool at a time: one that hangs hinders no other."""

    def __init__(self, name: str, trouble: str, tick: float, clock: Callable[[], float]) -> None:
        super().__init__(trouble)
        self._tick, self._clock = tick, clock
        self._pool = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix=name)
        self._busy: set[T] = set()
        self._lock = threading.Lock()

    def due(self, now: float) -> Iterable[T]:
        """Those that are to be served."""
        raise NotImplementedError

    def serve(self, lane: T) -> None:
        """Serve one; until it returns nobody else does."""
        raise NotImplementedError

    def step(self) -> float:
        """Begin to serve whoever is due and is not being served."""
        for lane in self.due(self._clock()):
            with self._lock:
                begin = lane not in self._busy and not self._stopping.is_set()
                if begin:
                    self._busy.add(lane)
            if begin:
                self._pool.submit(self._serve_one, lane)
        return self._tick

    def stop(self) -> None:
        """End `run` soon, and begin with nobody any more; what is under way is not waited for."""
        super().stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _serve_one(self, lane: T) -> None:
        try:
            with self._logged(lane=str(lane)):
                self.serve(lane)
        finally:
            with self._lock:
                self._busy.discard(lane)


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
