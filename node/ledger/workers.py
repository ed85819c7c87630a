"""The processes that analyse: whether each is ready, and its latest beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from node.ledger.tables import WORKER

BEAT = 10.0  # seconds between two beats of a worker
_ALIVE = 3 * BEAT + 5.0  # seconds after its last beat
_FORGOTTEN = 600.0  # seconds after which one that is gone is not shown any more


class Readiness(StrEnum):
    """How a worker stands."""

    READY = "ready"
    NOT_READY = "not ready"
    GONE = "gone"  # it does not beat any more


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker; `reason`: why it is not ready, or works less well than it should."""

    name: str
    readiness: Readiness
    reason: str
    since: float


def beat(connection: Connection, name: str, now: float, *, ready: bool, reason: str) -> None:
    """Record a worker's beat; those that are gone for long are forgotten."""
    known = connection.execute(select(WORKER).where(WORKER.c.name == name)).mappings().first()
    values = {"ready": ready, "reason": reason, "beat_at": now}
    if known is None:
        connection.execute(insert(WORKER).values(name=name, since=now, **values))
    else:
        same = (known["ready"], known["reason"]) == (ready, reason)
        values |= {} if same else {"since": now}
        connection.execute(update(WORKER).where(WORKER.c.name == name).values(values))
    connection.execute(delete(WORKER).where(WORKER.c.beat_at < now - _FORGOTTEN))


def forget(connection: Connection, name: str) -> None:
    """A worker ended as it should."""
    connection.execute(delete(WORKER).where(WORKER.c.name == name))


def states(connection: Connection, now: float) -> Sequence[WorkerState]:
    """All workers by name."""
    rows = connection.execute(select(WORKER).order_by(WORKER.c.name)).mappings()
    return [_state(row, now) for row in rows]


def _state(row: RowMapping, now: float) -> WorkerState:
    readiness = _readiness(row["ready"], row["beat_at"], now)
    gone = readiness is Readiness.GONE
    return WorkerState(row["name"], readiness, "" if gone else row["reason"], row["beat_at" if gone else "since"])


def another_is_ready(connection: Connection, name: str, now: float) -> bool:
    """Whether there is a worker that can do what this one cannot."""
    return any(one.name != name and one.readiness is Readiness.READY for one in states(connection, now))


def _readiness(ready: bool, beat_at: float, now: float) -> Readiness:
    if beat_at < now - _ALIVE:
        return Readiness.GONE
    return Readiness.READY if ready else Readiness.NOT_READY
