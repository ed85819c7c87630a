"""A clock that was set back: times in the ledger that now lie too far ahead are brought near, or all would wait."""

from __future__ import annotations

from sqlalchemy import Column, ColumnElement, Connection, Table, bindparam, null, select, update

from node.entities import DeliveryState
from node.ledger.outbox import LONGEST_PAUSE, pause_after
from node.ledger.tables import COMMITMENT_REQUEST, NOTICE, OUTBOX, STUDY

STEP = 1.0  # seconds that a clock may go back without being said to be set
RENEWED = 20.0  # seconds within which whoever holds a lease, and lives, has renewed it

_NOW, _NOTHING, _A_LEASE = 0.0, None, RENEWED
# Column, how far ahead it may lie (seconds), and what it becomes: so many seconds from now, or nothing.
_BOUNDS: tuple[tuple[Table, Column[float], float, float | None], ...] = (
    (STUDY, STUDY.c.last_received_at, 0.0, _NOW),
    (STUDY, STUDY.c.queued_at, 0.0, _NOW),
    (STUDY, STUDY.c.rung_at, 0.0, _NOTHING),
    (STUDY, STUDY.c.lease_until, RENEWED, _A_LEASE),
    (OUTBOX, OUTBOX.c.rung_at, 0.0, _NOTHING),
    (OUTBOX, OUTBOX.c.lease_until, RENEWED, _A_LEASE),
    (NOTICE, NOTICE.c.lease_until, RENEWED, _A_LEASE),
)


def bring_near(connection: Connection, now: float) -> int:
    """Bring near what lies further ahead than it can have been meant to; how many rows that were.

    A lease is shortened, not ended: who lives renews it. A time to try again stays where a pause may be so long.
    """
    brought = 0
    for table, column, ahead, becomes in _BOUNDS:
        value = null() if becomes is None else now + becomes
        brought += connection.execute(update(table).where(column > now + ahead).values({column: value})).rowcount
    brought += sum(_bring_tries_near(connection, table, now) for table in (OUTBOX, NOTICE))
    return brought + _bring_commitment_near(connection, now)


def _bring_commitment_near(connection: Connection, now: float) -> int:
    """What was stored, or asked of us, in what is the future now is looked at at once: that is harmless, and safe."""
    stored = update(OUTBOX).where(OUTBOX.c.state == DeliveryState.STORED, OUTBOX.c.delivered_at > now)
    asked = update(COMMITMENT_REQUEST).where(COMMITMENT_REQUEST.c.created_at > now)
    done = connection.execute(stored.values(delivered_at=now, next_attempt_at=now)).rowcount
    return done + connection.execute(asked.values(created_at=now, next_attempt_at=now)).rowcount


def _bring_tries_near(connection: Connection, table: Table, now: float) -> int:
    waiting: tuple[ColumnElement[bool], ...] = (
        table.c.state == DeliveryState.PENDING,
        table.c.next_attempt_at > now,
    )
    rows = connection.execute(select(table.c.id, table.c.attempts, table.c.next_attempt_at).where(*waiting)).all()
    late = [{"row": row.id} for row in rows if row.next_attempt_at > now + _longest_pause(row.attempts)]
    if late:
        here = update(table).where(table.c.id == bindparam("row"))
        connection.execute(here.values(next_attempt_at=now), late)
    return len(late)


def _longest_pause(attempts: int) -> float:
    return pause_after(attempts, 1.0, LONGEST_PAUSE) if attempts else 0.0
