"""Circuit breakers: a receiver that fails again and again is tried by one probe at a time, with growing pauses.

The circuit of a receiver opens when `MOST_FAILURES` attempts in a row failed for a reason of the receiver's, not all of
one study, whose objects may be what it cannot take. What is sent to it then waits, and is due at once when it answers.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, delete, insert, select, update

from node.backoff import pause_after
from node.entities import JobKind, JobState
from node.ledger import jobs
from node.ledger.tables import CIRCUIT, JOB

MOST_FAILURES = 3
LONGEST_PAUSE = 300.0  # seconds between probes
_OPEN = CIRCUIT.c.failures >= MOST_FAILURES


def open_circuits(connection: Connection) -> Sequence[RowMapping]:
    """The receivers that are only probed: `lane`, `failures`, `last_error`, `since`, `probe_at`."""
    return connection.execute(select(CIRCUIT).where(_OPEN).order_by(CIRCUIT.c.lane)).mappings().all()


def not_waiting(lane: ColumnElement[str], now: float) -> ColumnElement[bool]:
    """Whether something may be sent to a receiver, or its next probe is due."""
    return lane.not_in(select(CIRCUIT.c.lane).where(_OPEN, CIRCUIT.c.probe_at > now))


def may_send(connection: Connection, lane: str, now: float) -> bool:
    """Whether a study may be sent to a receiver: where its circuit is open only as a probe, one at a time."""
    row = _row(connection, lane)
    if row is None or row["failures"] < MOST_FAILURES:
        return True
    under_way = and_(jobs.of(JobKind.DELIVERY, lane, JobState.PENDING), JOB.c.lease_until > now)
    return bool(row["probe_at"] <= now) and not jobs.exists(connection, under_way)


def record_failure(connection: Connection, lane: str, study_instance_uid: str, error: str, now: float) -> bool:
    """An attempt failed for a reason of the receiver's; whether this opened the circuit."""
    row = _row(connection, lane)
    failures = row["failures"] if row else 0
    if row is None or failures >= MOST_FAILURES or row["study_instance_uid"] != study_instance_uid:
        failures += 1
    pause = pause_after(failures - MOST_FAILURES + 1, longest=LONGEST_PAUSE) if failures >= MOST_FAILURES else 0.0
    values = {
        "failures": failures, "study_instance_uid": study_instance_uid, "last_error": error, "probe_at": now + pause,
    }  # fmt: skip
    if row is None:
        connection.execute(insert(CIRCUIT).values(lane=lane, since=now, **values))
    else:
        connection.execute(update(CIRCUIT).where(CIRCUIT.c.lane == lane).values(values))
    return failures == MOST_FAILURES and (row is None or row["failures"] < MOST_FAILURES)


def record_answer(connection: Connection, lane: str, now: float) -> bool:
    """The receiver answered; whether this closed its circuit, and all that waited for it is due."""
    row = _row(connection, lane)
    if row is None:
        return False
    connection.execute(delete(CIRCUIT).where(CIRCUIT.c.lane == lane))
    if row["failures"] < MOST_FAILURES:
        return False
    waits = and_(jobs.of(JobKind.DELIVERY, lane, JobState.PENDING), JOB.c.due_at > now)
    jobs.change(connection, waits, due_at=now, notified_at=None)
    return True


def probe_now(connection: Connection, study_instance_uid: str, now: float) -> None:
    """The next probe of the receivers for which something of the study waits is due at once."""
    waits = and_(jobs.of(JobKind.DELIVERY, None, JobState.PENDING), JOB.c.study_instance_uid == study_instance_uid)
    lanes = jobs.lanes(connection, waits)
    connection.execute(update(CIRCUIT).where(CIRCUIT.c.lane.in_(lanes)).values(probe_at=now))


def _row(connection: Connection, lane: str) -> RowMapping | None:
    return connection.execute(select(CIRCUIT).where(CIRCUIT.c.lane == lane)).mappings().first()
