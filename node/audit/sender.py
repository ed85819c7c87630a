"""Senders: a thread a sink sends it the audit messages, oldest first; one that is down hinders and loses none.

Messages are jobs. Lane: the sink. There is no bound on how many wait, for nothing may be lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import structlog
from sqlalchemy import ColumnElement, Connection, RowMapping

from node.audit.recorder import Recorder
from node.audit.repository import Repository
from node.audit.trail import Trail
from node.backoff import pause_after
from node.entities import JobKind
from node.errors import ReadFirstError
from node.ledger import jobs
from node.ledger.engine import Ledger
from node.ledger.tables import JOB
from node.loops import Loop, running
from node.settings import Settings

_log = structlog.get_logger(__name__)
_TICK = 0.5  # seconds between looks
_LONGEST_PAUSE = 60.0
_BATCH = 200  # messages sent at once
_LOG_AGAIN = 3600.0  # seconds
_LAST_SECONDS = 15.0  # at the end, for what is still there


Message = Mapping[str, Any]
"""`message` (XML, PS3.15 A.5.1), `at` (seconds since 1970 UTC), `warning` (its severity, else a notice, A.6)."""


class Sink(Protocol):
    """Takes messages. It may be given the same one twice, never none: EventDateTime and content are the same."""

    @property
    def where(self) -> str:
        """Where messages go, for people."""

    def reach(self) -> str:
        """Whether it could take something now, as a sentence; else NotTaken."""

    def send(self, messages: Sequence[Message]) -> None:
        """Take the messages, all or (NotTaken) none for certain."""


def make_sinks(settings: Settings) -> dict[str, Sink]:
    """The configured sinks, by name."""
    keys, made = settings.audit, dict[str, Sink]()
    if "file" in keys.sinks:
        made["file"] = Trail(keys.folder or settings.node.data / "audit", keys.file_mb << 20)
    if "syslog" in keys.sinks and keys.syslog:
        made["syslog"] = Repository(keys.syslog, keys.syslog.tls or settings.node.tls)
    return made


class AuditSender(Loop):
    """Sends one sink its messages; `run` in a thread of its own until `stop`.

    Parameters
    ----------
    before
        Called before each look into the ledger.
    clock
        Seconds since 1970 UTC.
    """

    def __init__(
        self, name: str, sink: Sink, ledger: Ledger, before: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        super().__init__("audit messages wait", sink=name)
        self._name, self._sink, self._ledger, self._before, self._clock = name, sink, ledger, before, clock
        self._failures, self._log_again = 0, 0.0

    def run(self) -> None:
        """Send until stopped, then once more what was recorded last."""
        super().run()
        self.step()

    def step(self) -> float:
        """Send what waits; the seconds to wait before the next time."""
        try:
            self._before()
            while rows := self._next():
                self._sink.send([row["payload"] for row in rows])
                with self._ledger.write() as connection:
                    jobs.remove(connection, JOB.c.id.in_([row["id"] for row in rows]))
                self._log_taken()
        except ReadFirstError as error:
            return self._postpone(str(error))
        except Exception as error:  # noqa: BLE001  # outermost: a bug of ours must not stop the loop
            _log.exception("audit messages could not be sent", sink=self._name)
            return self._postpone(f"{type(error).__name__} in our software")
        return _TICK

    def _next(self, most: int = _BATCH) -> Sequence[RowMapping]:
        with self._ledger.read() as connection:
            return jobs.find(connection, _of(self._name), limit=most)

    def _log_taken(self) -> None:
        if self._failures:
            _log.info("audit messages are taken again", sink=self._name, where=self._sink.where)
        self._failures, self._log_again = 0, 0.0

    def _postpone(self, error: str) -> float:
        """Log now and then that messages wait, and list it with the oldest; the seconds to wait."""
        self._failures += 1
        if self._clock() >= self._log_again:
            self._log_again = self._clock() + _LOG_AGAIN
            _log.error(
                "audit messages wait, none is lost", sink=self._name, waiting=self._waiting(), reason=error,
                unbounded="they take room in the ledger until the sink takes them",
            )  # fmt: skip
        with suppress(ReadFirstError):
            for head in self._next(1):
                with self._ledger.write() as connection:
                    jobs.postpone(
                        connection, head["id"], head["attempts"], error, self._clock(), longest=_LONGEST_PAUSE
                    )
        return pause_after(self._failures, 0.5, _LONGEST_PAUSE)

    def _waiting(self) -> int | None:
        try:
            with self._ledger.read() as connection:
                return waiting(connection).get(self._name, 0)
        except ReadFirstError:
            return None


def waiting(connection: Connection) -> dict[str, int]:
    """How many messages wait, by sink."""
    return jobs.count_by(connection, JOB.c.lane, jobs.of(JobKind.AUDIT_MESSAGE))


def _of(sink: str) -> ColumnElement[bool]:
    return jobs.of(JobKind.AUDIT_MESSAGE, sink)


@contextmanager
def recording(settings: Settings, ledger: Ledger, sinks: Mapping[str, Sink]) -> Iterator[Recorder]:
    """A recorder, and its senders in their threads; first and last it records start and stop of the application."""
    recorder = Recorder(settings, ledger)
    recorder.started()
    senders = [AuditSender(name, sink, ledger, recorder.flush) for name, sink in sinks.items()]
    with running("audit", *senders, patience=_LAST_SECONDS):
        try:
            yield recorder
        finally:
            recorder.stopped()
