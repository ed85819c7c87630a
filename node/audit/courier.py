"""Couriers: a thread a sink takes messages out of the spool. A sink that is down hinders nobody, and loses nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import structlog
from sqlalchemy import RowMapping

from node.audit import spool
from node.audit.recorder import Recorder
from node.audit.repository import Repository
from node.audit.trail import Trail
from node.backoff import pause_after
from node.errors import ReadFirstError
from node.ledger.engine import Ledger
from node.settings import Settings

_log = structlog.get_logger(__name__)
_TICK = 0.5  # seconds between looks into the spool
_LONGEST_PAUSE = 60.0
_BATCH = 200  # messages told at once
_MANY = 10_000  # messages that wait before it is said again
_SAY_AGAIN = 3600.0  # seconds
_LAST_SECONDS = 15.0  # at the end, for what is still there


class Sink(Protocol):
    """Takes messages. It may be given the same one twice, never none: EventDateTime and content are the same."""

    @property
    def where(self) -> str:
        """Where messages go, for people."""

    def reach(self) -> str:
        """Whether it could take something now, as a sentence; else NotTaken."""

    def send(self, rows: Sequence[RowMapping]) -> None:
        """Take the messages, all or (NotTaken) none for certain."""


def make_sinks(settings: Settings) -> dict[str, Sink]:
    """The configured sinks, by name."""
    keys, made = settings.audit, dict[str, Sink]()
    if "file" in keys.sinks:
        made["file"] = Trail(keys.folder or settings.node.data / "audit", keys.file_mb << 20)
    if "syslog" in keys.sinks and keys.syslog:
        made["syslog"] = Repository(keys.syslog, keys.syslog.tls or settings.node.tls)
    return made


class Courier:
    """Tells one sink; `run` in a thread of its own until `stop`.

    Parameters
    ----------
    before
        Called before each look into the spool.
    clock
        Seconds since 1970 UTC.
    """

    def __init__(
        self, name: str, sink: Sink, ledger: Ledger, before: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._name, self._sink, self._ledger, self._before, self._clock = name, sink, ledger, before, clock
        self._stopping = threading.Event()
        self._failures, self._say_again = 0, 0.0

    def run(self) -> None:
        """Go round until stopped, then once more for what came last."""
        while not self._stopping.wait(self.go_round()):
            pass
        self.go_round()

    def stop(self) -> None:
        """End `run` when what is there was told."""
        self._stopping.set()

    def go_round(self) -> float:
        """Tell what waits; the seconds to wait before the next round."""
        try:
            self._before()
            while rows := self._next():
                self._sink.send(rows)
                with self._ledger.write() as connection:
                    spool.drop(connection, [row["id"] for row in rows])
                self._works()
        except ReadFirstError as error:
            return self._fails(str(error))
        except Exception as error:  # noqa: BLE001  # outermost: a bug of ours must not stop the courier
            _log.exception("audit messages could not be told", sink=self._name)
            return self._fails(f"{type(error).__name__} in our software")
        return _TICK

    def _next(self) -> Sequence[RowMapping]:
        with self._ledger.read() as connection:
            return spool.oldest(connection, self._name, _BATCH)

    def _works(self) -> None:
        if self._failures:
            _log.info("audit messages are taken again", sink=self._name, where=self._sink.where)
        self._failures, self._say_again = 0, 0.0

    def _fails(self, reason: str) -> float:
        self._failures += 1
        if self._clock() >= self._say_again:
            self._say_again = self._clock() + _SAY_AGAIN
            _log.error(
                "audit messages wait, none is lost", sink=self._name, waiting=self._waiting(), reason=reason,
                unbounded="they take room in the ledger until the sink takes them",
            )  # fmt: skip
        return pause_after(self._failures, 0.5, _LONGEST_PAUSE)

    def _waiting(self) -> int | None:
        try:
            with self._ledger.read() as connection:
                return spool.waiting(connection).get(self._name, 0)
        except ReadFirstError:
            return None


@contextmanager
def recording(settings: Settings, ledger: Ledger, sinks: Mapping[str, Sink]) -> Iterator[Recorder]:
    """A recorder, and its couriers in their threads; start and stop of the application are its first and last words."""
    recorder = Recorder(settings, ledger)
    recorder.started()
    couriers = [Courier(name, sink, ledger, recorder.flush) for name, sink in sinks.items()]
    threads = [threading.Thread(target=one.run, name="audit", daemon=True) for one in couriers]
    for thread in threads:
        thread.start()
    try:
        yield recorder
    finally:
        recorder.stopped()
        for courier in couriers:
            courier.stop()
        for thread in threads:
            thread.join(_LAST_SECONDS)
