"""Alerts that repeat: the first of its kind is recorded at once, the others are counted and recorded together."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from node.audit.codes import Code
from node.audit.message import Participant

WINDOW = 60.0  # seconds in which alerts of one address count as one


@dataclass(frozen=True, slots=True)
class Alarm:
    """What happened, through whom, and how often since it was last recorded."""

    kind: Code
    peer: Participant
    reason: str
    times: int = 1

    @property
    def description(self) -> str:
        """For people."""
        return self.reason + (f" ({self.times} times within {WINDOW:g} s, the last one is recorded)" * (self.times > 1))


_MOST_OF_ONE = 16  # different alarms of one address within the window; the others are recorded together
_Key = tuple[Code, str, str, str]  # with address, AE title and reason


class Alarms:
    """A caller that tries a thousand times a second does not fill the audit trail; safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._quiet: dict[_Key, tuple[float, int, Alarm]] = {}  # until when, how many, the last one

    def add(self, alarm: Alarm, now: float) -> tuple[Alarm, ...]:
        """The alarms to record now, this one among them unless one like it was recorded just before."""
        with self._lock:
            key = self._key(alarm)
            until, count, _ = self._quiet.get(key, (0.0, 0, alarm))
            if now < until:
                self._quiet[key] = until, count + 1, alarm
                return ()
            self._quiet[key] = now + WINDOW, 0, alarm
        return (Alarm(alarm.kind, alarm.peer, alarm.reason, count + 1),)

    def _key(self, alarm: Alarm) -> _Key:
        """What is recorded together: equal alarms; of an address with ever new ones, the rest."""
        address = alarm.peer.address
        key = alarm.kind, address, alarm.peer.ae_title, alarm.reason
        if key in self._quiet or sum(known[1] == address for known in self._quiet) < _MOST_OF_ONE:
            return key
        return alarm.kind, address, "", ""

    def due(self, now: float, *, all_of_them: bool = False) -> tuple[Alarm, ...]:
        """Those that were counted and whose time is over; addresses that are quiet again are forgotten."""
        with self._lock:
            over = [key for key, (until, _, _) in self._quiet.items() if until <= now or all_of_them]
            ended = [self._quiet.pop(key) for key in over]
        return tuple(Alarm(last.kind, last.peer, last.reason, count) for _, count, last in ended if count)
