"""Child processes: they end when their parent does; a worker that ends by itself is started again."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import structlog

_log = structlog.get_logger(__name__)
_PR_SET_PDEATHSIG = 1  # Linux, prctl(2)
_END_SECONDS = 30.0
_RESTART_PAUSE = 2.0


def die_with_parent() -> None:
    """For `preexec_fn`: the child gets SIGTERM when its parent is gone, killed or not (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Supervised(Protocol):
    """A process that the node needs."""

    def restart_if_ended(self) -> None:
        """Start it again where it ended by itself."""


class Worker:
    """One worker process for one queue."""

    def __init__(self, queue: str, config: Path | None, queue_url: str) -> None:
        self.queue = queue
        options = ["--config", str(config)] if config else []
        self._command = [sys.executable, "-m", "node", "worker", "--queue", queue, *options]
        self._environment = os.environ | {"READFIRST_QUEUE__URL": queue_url}
        self._start()

    def restart_if_ended(self) -> None:
        """Start it again where it ended by itself, at most every two seconds."""
        if self.process.poll() is not None and time.monotonic() - self._started > _RESTART_PAUSE:
            _log.error("worker ended, started again", queue=self.queue, exit_code=self.process.returncode)
            self._start()

    def stop(self) -> None:
        """Wait until it has ended, at most 30 s."""
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _start(self) -> None:
        self._started = time.monotonic()
        self.process = subprocess.Popen(
            self._command,
            env=self._environment,
            preexec_fn=die_with_parent,  # noqa: PLW1509
            start_new_session=True,  # Ctrl-C is for us: we end them when their work is recorded
        )


@contextmanager
def workers(queues: Iterable[str], config: Path | None, queue_url: str) -> Iterator[list[Worker]]:
    """One worker a queue, ended on leaving."""
    running = [Worker(queue, config, queue_url) for queue in queues]
    try:
        yield running
    finally:
        for worker in running:
            worker.process.terminate()
        for worker in running:
            worker.stop()
