"""The loops of the node: a step that fails is logged and ends nothing, and nobody is served twice at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

import structlog

from node.errors import ReadFirstError

_log = structlog.get_logger(__name__)
_PAUSE, _MOMENT = 1.0, 0.05  # seconds after a step that failed, and between looks whether all is done
_AT_ONCE = 64  # keys served at the same time, each by a thread that is only there when it is needed
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


class KeyedExecutor(Generic[T]):
    """Serves keys, each by one thread at a time: one that hangs hinders no other. `serve` raises nothing."""

    def __init__(self, name: str, serve: Callable[[T], None]) -> None:
        self._serve = serve
        self._pool = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix=name)
        self._again: dict[T, bool] = {}  # the keys that are being served, and whether once more after that
        self._lock = threading.Lock()
        self.closed = False

    def submit(self, key: T, *, again: bool = False) -> None:
        """Begin to serve a key; with `again`, where it is being served, serve it once more after that."""
        with self._lock:
            if key in self._again:
                self._again[key] |= again
            elif not self.closed:
                self._again[key] = False
                self._pool.submit(self._run, key)

    def close(self, patience: float = 0.0) -> None:
        """Begin with nothing any more; wait at most so many seconds for what is under way."""
        with self._lock:
            self.closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        until = time.monotonic() + patience
        while self._again and time.monotonic() < until:
            time.sleep(_MOMENT)

    def _run(self, key: T) -> None:
        while True:
            try:
                self._serve(key)
            finally:
                with self._lock:
                    again = self._again.pop(key) and not self.closed
                    if again:
                        self._again[key] = False
            if not again:
                return


class LaneLoop(Loop, Generic[T]):
    """Serves those that are due, each in a lane of its own (`KeyedExecutor`)."""

    def __init__(self, name: str, trouble: str, tick: float, clock: Callable[[], float]) -> None:
        super().__init__(trouble)
        self._tick, self._clock = tick, clock
        self._lanes = KeyedExecutor(name, self._serve_one)

    def due(self, now: float) -> Iterable[T]:
        """Those that are to be served."""
        raise NotImplementedError

    def serve(self, lane: T) -> None:
        """Serve one; until it returns nobody else does."""
        raise NotImplementedError

    def step(self) -> float:
        """Begin to serve whoever is due and is not being served."""
        for lane in self.due(self._clock()):
            self._lanes.submit(lane)
        return self._tick

    def stop(self) -> None:
        """End `run` soon, and begin with nobody any more; what is under way is not waited for."""
        super().stop()
        self._lanes.close()

    def _serve_one(self, lane: T) -> None:
        with self._logged(lane=str(lane)):
            self.serve(lane)


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
