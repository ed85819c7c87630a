"""How a worker process stands, in the ledger: whether it can analyse, and why not."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import structlog

from node.errors import ReadFirstError
from node.ledger import workers
from node.ledger.engine import Ledger
from node.loops import Loop
from workers.model_set import ModelSet

_log = structlog.get_logger(__name__)
_LOADING = "it loads its model packages"


def process_name() -> str:
    """Of this process among all workers of a node."""
    return f"{socket.gethostname()[:100]}:{os.getpid()}"


class Heartbeat(Loop):
    """Beats in a thread of its own; each time it tries what could not be loaded, once its pause is over.

    Parameters
    ----------
    end_process
        Called, while no study is analysed, where only a new process can use the GPU again.
    """

    def __init__(
        self, name: str, ledger: Ledger, models: ModelSet, end_process: Callable[[int], object] = os._exit
    ) -> None:
        super().__init__("the worker cannot record how it stands")
        self._name, self._ledger, self._models, self._end_process = name, ledger, models, end_process
        self._working = threading.Lock()
        self._thread = threading.Thread(target=self.run, name="heartbeat", daemon=True)

    def begin(self) -> None:
        """Record that this process loads its packages: one that dies of it (memory, driver) is seen to have done so."""
        self._beat(ready=False, reason=_LOADING)

    def start(self) -> None:
        """Beat until `end`."""
        self._thread.start()

    def end(self) -> None:
        """The worker ends, and is not missed."""
        self.stop()
        with suppress(ReadFirstError), self._ledger.write() as connection:
            workers.forget(connection, self._name)

    @contextmanager
    def working(self) -> Iterator[None]:
        """While the body runs a study is analysed."""
        with self._working:
            yield

    def step(self) -> float:
        """One beat; the seconds until the next."""
        self._models.refresh()
        self._beat(ready=not self._models.faults, reason=self._models.reason)
        if self._models.device_lost and self._working.acquire(blocking=False):
            _log.error("the GPU failed: this process ends, so that a new one opens it again", worker=self._name)
            self._end_process(1)
        return workers.BEAT

    def _beat(self, *, ready: bool, reason: str) -> None:
        with self._ledger.write() as connection:
            workers.beat(connection, self._name, time.time(), ready=ready, reason=reason)
