"""Durable jobs: whatever must happen later and survive a restart is a row here, with one backoff, one lease, one list.

A job is due from `due_at` on. Whoever does it holds it under a lease, which ends by itself where the holder dies. What
fails is due again after a growing pause, is listed with its last error, and is never given up in silence. The rules of
each kind stand beside its service; they are conditions and calls of what is here. A job may be done twice, never none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, delete, func, insert, or_, select, update

from node.backoff import LONGEST_PAUSE, pause_after
from node.entities import JobKind, JobState
from node.ledger.engine import Ledger, note
from node.ledger.tables import JOB

LEASE = 20.0  # seconds; a holder that does not extend it for so long is dead

_TROUBLED_STATES = (JobState.PENDING, JobState.REJECTED, JobState.FAILED)
TROUBLED = and_(  # failed and tried again, rejected, or failed for good; the kinds are there for the index
    JOB.c.kind.in_(tuple(JobKind)), JOB.c.state.in_(_TROUBLED_STATES), JOB.c.last_error != ""
)
_AGAIN = (JobState.PENDING, JobState.REFUSED, JobState.REJECTED)  # what `retry` makes due
_PLURALS = {JobKind.DELIVERY: "deliveries", JobKind.NOTICE: "notices"}


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be put; the fields are columns of the table."""

    kind: JobKind
    lane: str
    key: str | None = None
    study_instance_uid: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    reference: str | None = None
    state: JobState = JobState.PENDING
    last_error: str = ""


def put(connection: Connection, job: NewJob, now: float, due_at: float | None = None) -> int:
    """Put one job, due now unless `due_at` is later; its ID. Its key must not be there yet (`find`)."""
    done = connection.execute(insert(JOB).values(_row(job, now) | ({} if due_at is None else {"due_at": due_at})))
    assert done.inserted_primary_key is not None
    return int(done.inserted_primary_key[0])


def put_all(connection: Connection, jobs: Iterable[NewJob], now: float) -> None:
    """Put jobs without a key, due now."""
    if rows := [_row(job, now) for job in jobs]:
        connection.execute(insert(JOB), rows)


def _row(job: NewJob, now: float) -> dict[str, Any]:
    return asdict(job) | {"due_at": now, "attempts": 0, "created_at": now}


def of(kind: JobKind, lane: str | None = None, *states: JobState) -> ColumnElement[bool]:
    """The jobs of a kind, in a lane, in these states."""
    clauses = [JOB.c.kind == kind]
    clauses += [JOB.c.lane == lane] if lane is not None else []
    clauses += [JOB.c.state.in_(states)] if states else []
    return and_(*clauses)


def due(kind: JobKind, now: float, lane: str | None = None, state: JobState = JobState.PENDING) -> ColumnElement[bool]:
    """The jobs that are due and that nobody holds."""
    free = or_(JOB.c.lease_until.is_(None), JOB.c.lease_until < now)
    return and_(of(kind, lane, state), JOB.c.due_at <= now, free)


def find(connection: Connection, *where: ColumnElement[bool], limit: int | None = None) -> Sequence[RowMapping]:
    """Jobs in the order in which they were made."""
    return connection.execute(select(JOB).where(*where).order_by(JOB.c.id).limit(limit)).mappings().all()


def exists(connection: Connection, *where: ColumnElement[bool]) -> bool:
    """Whether there is such a job."""
    return connection.execute(select(JOB.c.id).where(*where).limit(1)).first() is not None


def lanes(connection: Connection, *where: ColumnElement[bool]) -> tuple[str, ...]:
    """The lanes that have such a job."""
    return tuple(connection.execute(select(JOB.c.lane).where(*where).distinct()).scalars())


def lanes_in_order(connection: Connection, kind: JobKind, now: float) -> tuple[str, ...]:
    """The lanes whose oldest job is due: those behind it wait, so that the receiver gets them in order."""
    oldest = select(func.min(JOB.c.id)).where(of(kind)).group_by(JOB.c.lane)
    return lanes(connection, JOB.c.id.in_(oldest), JOB.c.due_at <= now)


def change(connection: Connection, *where: ColumnElement[bool], **values: Any) -> int:
    """Change jobs; how many."""
    return int(connection.execute(update(JOB).where(*where).values(values)).rowcount)


def hold(connection: Connection, ids: Collection[int], until: float) -> None:
    """Take jobs that are due under a lease, in the transaction that read them."""
    change(connection, JOB.c.id.in_(ids), lease_until=until)


def extend(connection: Connection, ids: Collection[int], until: float) -> None:
    """The holder continues."""
    change(connection, JOB.c.id.in_(ids), JOB.c.lease_until.is_not(None), lease_until=until)


def finish(connection: Connection, job_id: int, **values: Any) -> None:
    """An attempt ended: the job takes these values, and nobody holds it any more."""
    attempts = JOB.c.attempts + 1
    change(connection, JOB.c.id == job_id, attempts=attempts, lease_until=None, notified_at=None, **values)


def remove(connection: Connection, *where: ColumnElement[bool]) -> None:
    """Drop jobs that are done and of which nothing is to be seen any more."""
    connection.execute(delete(JOB).where(*where))


def postpone(
    connection: Connection, job_id: int, attempts: int, error: str, now: float, *, longest: float = LONGEST_PAUSE,
    jitter: float | None = None,
) -> float:  # fmt: skip
    """An attempt after `attempts` others failed: the job is due again after a growing pause; its seconds."""
    pause = pause_after(attempts + 1, jitter, longest)
    finish(connection, job_id, due_at=now + pause, last_error=error)
    return pause


def drop_older(ledger: Ledger, kind: JobKind, before: float) -> dict[str, int]:
    """Drop the jobs of a kind made before then; lane to number of those that it missed."""
    old = and_(of(kind), JOB.c.created_at < before)
    with ledger.read() as connection:
        if not exists(connection, old):
            return {}
    with ledger.write() as connection:
        missed = count_by(connection, JOB.c.lane, old)
        remove(connection, old)
        return missed


def retry(connection: Connection, study_instance_uid: str, now: float) -> int:
    """Make due at once what of the study is not done, also what its receiver refused; returns how many jobs.

    What a peer stored and has not proven is not sent again: the peer is asked once more.
    """
    here = JOB.c.study_instance_uid == study_instance_uid
    asked = change(connection, here, JOB.c.state == JobState.STORED, due_at=now)
    again = and_(here, JOB.c.kind != JobKind.ANALYSIS, JOB.c.state.in_(_AGAIN))
    for kind, number in count_by(connection, JOB.c.kind, again).items():
        note(
            connection,
            study_instance_uid,
            now,
            "retry",
            f"{number} {_PLURALS.get(JobKind(kind), f'jobs ({kind})')} made due by hand",
        )
    return asked + change(connection, again, state=JobState.PENDING, due_at=now, notified_at=None)


def retry_one(connection: Connection, job_id: int, now: float) -> bool:
    """Make one job due at once that waits or was rejected; False where there is none of that number."""
    waits = and_(JOB.c.id == job_id, JOB.c.kind != JobKind.ANALYSIS, JOB.c.state.in_(_AGAIN))
    return bool(change(connection, waits, state=JobState.PENDING, due_at=now, notified_at=None))


def count_by(connection: Connection, column: ColumnElement[str], *where: ColumnElement[bool]) -> dict[str, int]:
    """How many jobs there are, by the values of a column."""
    query = select(column.label("value"), func.count().label("jobs")).where(*where).group_by(column)
    return {row.value: row.jobs for row in connection.execute(query)}


def troubled(connection: Connection, limit: int) -> Sequence[RowMapping]:
    """Jobs that failed and are tried again, or that only a person tries again; newest first, without their payload."""
    shown = (JOB.c[name] for name in LISTED)
    query = select(*shown).where(TROUBLED)
    return connection.execute(query.order_by(JOB.c.id.desc()).limit(limit)).mappings().all()


LISTED = ("id", "kind", "lane", "study_instance_uid", "state", "attempts", "due_at", "last_error")
