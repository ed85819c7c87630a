"""A clock that was set back: times in the ledger that now lie too far ahead are corrected, or all would wait."""

from __future__ import annotations

from sqlalchemy import Column, ColumnElement, Connection, Table, and_, null, select, update

from node.backoff import pause_after
from node.entities import JobState
from node.ledger import jobs
from node.ledger.jobs import LEASE
from node.ledger.tables import CIRCUIT, JOB, STUDY

STEP = 1.0  # seconds that a clock may go back without counting as set back

_NOW, _NOTHING = 0.0, None
_LONGEST_PROBE = 375.0  # seconds, the longest pause of `node.sending.circuits`
# Column, how far ahead it may lie (seconds), and what it becomes: so many seconds from now, or nothing.
_BOUNDS: tuple[tuple[Table, Column[float], float, float | None], ...] = (
    (STUDY, STUDY.c.last_received_at, 0.0, _NOW),
    (STUDY, STUDY.c.queued_at, 0.0, _NOW),
    (JOB, JOB.c.notified_at, 0.0, _NOTHING),
    (JOB, JOB.c.lease_until, LEASE, LEASE),
    (CIRCUIT, CIRCUIT.c.probe_at, _LONGEST_PROBE, _NOW),
)


def correct_times(connection: Connection, now: float) -> int:
    """Set what lies further ahead than it can have been meant to back to now; how many rows that were.

    A lease is shortened, not ended: who lives extends it. A time to try again stays where a pause may be so long.
    """
    corrected = 0
    for table, column, ahead, becomes in _BOUNDS:
        value = null() if becomes is None else now + becomes
        corrected += connection.execute(update(table).where(column > now + ahead).values({column: value})).rowcount
    return corrected + _correct_jobs(connection, now)


def _correct_jobs(connection: Connection, now: float) -> int:
    """What was made, or taken by its receiver, in what is the future now is due at once: that is harmless, and safe."""
    waits = JOB.c.state.in_((JobState.PENDING, JobState.STORED))
    made = jobs.change(connection, waits, JOB.c.created_at > now, created_at=now, due_at=now)
    stored = and_(JOB.c.state == JobState.STORED, JOB.c.done_at > now)
    made += jobs.change(connection, stored, done_at=now, due_at=now)
    for attempts in connection.execute(select(JOB.c.attempts).where(*_late(now)).distinct()).scalars().all():
        made += jobs.change(connection, *_late(now + _longest_pause(attempts)), JOB.c.attempts == attempts, due_at=now)
    return made


def _late(after: float) -> tuple[ColumnElement[bool], ...]:
    return JOB.c.state == JobState.PENDING, JOB.c.due_at > after


def _longest_pause(attempts: int) -> float:
    return pause_after(attempts, 1.0) if attempts else 0.0
