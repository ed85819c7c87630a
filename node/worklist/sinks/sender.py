"""Senders: one thread a sink that finds what the sink was not notified of and sends it. One that hangs hinders none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import structlog

from node.backoff import pause_after
from node.errors import NotAccepted, ReadFirstError, SinkUnreachable
from node.ledger.engine import Ledger
from node.loops import Loop, running
from node.worklist.sinks import Sink, notices
from node.worklist.sinks.facts import Notice

_log = structlog.get_logger(__name__)
_TICK = 0.2  # seconds between looks
_OVERLAP = 60.0  # seconds: a transaction that began earlier may be seen later
_LONGEST_SILENCE = 60.0  # seconds that a sink which does not answer is left alone
_SPARE = 2.0  # seconds that a lease is longer than sending may take


class SinkSender(Loop):
    """Sends one sink its notices; `run` in a thread of its own until `stop`."""

    def __init__(self, name: str, sink: Sink, ledger: Ledger, clock: Callable[[], float] = time.time) -> None:
        super().__init__("notices wait", sink=name)
        self._name, self._sink, self._ledger, self._clock = name, sink, ledger, clock
        self._seen_until, self._silences = clock() - notices.OLDEST, 0

    def step(self) -> float:
        """Find, claim and send, until nothing is due; the seconds to wait before the next time."""
        self._find()
        while not self._stopping.is_set() and (notice := self._claim()):
            pause = self._send(notice)
            if pause:
                return pause
        return _TICK

    def _find(self) -> None:
        now = self._clock()
        with self._ledger.read() as connection:
            found = notices.unsent(connection, self._name, self._seen_until - _OVERLAP, self._sink.least)
        for uid in found:
            with self._ledger.write() as connection:
                notices.put(connection, self._name, uid, now, self._sink.least)
        self._seen_until = now

    def _claim(self) -> Notice | None:
        now = self._clock()
        with self._ledger.read() as connection:
            if not notices.is_due(connection, self._name, now):
                return None  # without a write transaction, five times a second
        with self._ledger.write() as connection:
            return notices.claim(connection, self._name, now, self._sink.longest + _SPARE)

    def _send(self, notice: Notice) -> float:
        """Send, and record how that ended; the seconds for which this sink is left alone."""
        try:
            acknowledgement = self._sink.send(notice)
        except NotAccepted as error:
            self._rejected(notice, str(error))
        except SinkUnreachable as error:
            self._postponed(notice, str(error))
            self._silences += 1
            return pause_after(self._silences, 0.5, _LONGEST_SILENCE)
        except ReadFirstError as error:
            self._postponed(notice, str(error))
        except Exception as error:  # noqa: BLE001  # outermost: a bug of ours must not keep the notice claimed
            _log.exception("a notice could not be sent", sink=self._name, study=notice.study_instance_uid)
            self._postponed(notice, f"{type(error).__name__} in our software; see the node's log")
        else:
            self._delivered(notice, acknowledgement)
        self._silences = 0
        return 0.0

    def _delivered(self, notice: Notice, acknowledgement: str) -> None:
        with self._ledger.write() as connection:
            notices.delivered(connection, self._name, notice, acknowledgement, self._clock())
        self._log(_log.info, "notice acknowledged", notice, acknowledgement=acknowledgement)

    def _rejected(self, notice: Notice, error: str) -> None:
        with self._ledger.write() as connection:
            notices.rejected(connection, self._name, notice, error, self._clock())
        self._log(_log.error, "notice rejected", notice, reason=error)

    def _postponed(self, notice: Notice, error: str) -> None:
        with self._ledger.write() as connection:
            pause = notices.postponed(connection, self._name, notice, error, self._clock())
        self._log(_log.warning, "notice postponed", notice, reason=error, again_in=round(pause))

    def _log(self, write: Callable[..., object], event: str, notice: Notice, **more: object) -> None:
        names = {"sink": self._name, "study": notice.study_instance_uid, "control_id": notice.control_id}
        write(event, **names, priority=notice.priority, **more)


def sending(sinks: Mapping[str, Sink], ledger: Ledger) -> AbstractContextManager[None]:
    """Each sink's sender in its thread; on leaving they end, but nobody waits for a sink that does not answer."""
    return running("sinks", *(SinkSender(name, sink, ledger) for name, sink in sinks.items()), patience=_SPARE)
