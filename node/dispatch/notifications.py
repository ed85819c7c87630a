"""Which queued studies the workers were notified of, in the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, case, func, or_, select

from node.dispatch.fairness import precedence, rank_of
from node.entities import HIGH, MEDIUM, JobKind, StudyState
from node.ledger import jobs
from node.ledger.tables import JOB, STUDY, WORK_ITEM
from node.worklist.items.priority import Priority, Source
from node.worklist.items.states import State
from node.worklist.reading.data_set import is_reading


def unnotified(
    connection: Connection, notified_before: float, most: int = 100, now: float = float("inf")
) -> Sequence[RowMapping]:
    """Queued studies that no worker was notified of, or before `notified_before`, or as less urgent than they are now.

    Each has its `rank` (`node.entities`): HIGH where it was sent so, or where a person made its
    unclaimed reading HIGH.

    Parameters
    ----------
    most
        Of each sender and rank; the oldest.
    now
        Those that wait until later are left out.
    """
    rank = case((STUDY.c.study_instance_uid.in_(_ordered(connection)), HIGH), else_=STUDY.c.sent_rank)
    notified_rank = JOB.c.payload["notified_rank"].as_integer()
    unnotified = or_(JOB.c.notified_at.is_(None), JOB.c.notified_at < notified_before, rank < notified_rank)
    order = (STUDY.c.queued_at, STUDY.c.study_instance_uid)
    place = func.row_number().over(partition_by=(STUDY.c.calling_ae_title, rank), order_by=order)
    columns = (STUDY, JOB.c.notified_at, notified_rank.label("notified_rank"), rank.label("rank"), place.label("place"))
    found = select(*columns).join(JOB, JOB.c.study_instance_uid == STUDY.c.study_instance_uid)
    found = found.where(jobs.of(JobKind.ANALYSIS), STUDY.c.state == StudyState.QUEUED, JOB.c.due_at <= now, unnotified)
    rows = found.subquery()
    query = select(rows).where(rows.c.place <= most).order_by(rows.c.queued_at, rows.c.study_instance_uid)
    return connection.execute(query).mappings().all()


def _ordered(connection: Connection) -> set[str]:
    """Queued studies that a person wants read at once."""
    query = (
        select(WORK_ITEM.c.study_instance_uid, WORK_ITEM.c.attributes)
        .join(STUDY, STUDY.c.study_instance_uid == WORK_ITEM.c.study_instance_uid)
        .where(STUDY.c.state == StudyState.QUEUED, WORK_ITEM.c.state == State.SCHEDULED)
        .where(WORK_ITEM.c.priority == Priority.HIGH, WORK_ITEM.c.priority_source == Source.HUMAN)
    )
    return {row.study_instance_uid for row in connection.execute(query) if is_reading(row.attributes)}


def notified_by_sender(connection: Connection) -> dict[str, int]:
    """How many studies of each sender the workers have, or were notified of."""
    notified = or_(JOB.c.lease_until.is_not(None), JOB.c.notified_at.is_not(None))
    return jobs.count_by(connection, JOB.c.lane, jobs.of(JobKind.ANALYSIS), notified)


def notified_by_precedence(connection: Connection) -> Counter[int]:
    """How many studies the workers were notified of, and none has taken, by precedence (`node.dispatch.fairness`)."""
    waits = (jobs.of(JobKind.ANALYSIS), JOB.c.notified_at.is_not(None), JOB.c.lease_until.is_(None))
    notified = connection.execute(select(JOB.c.payload["precedence"].as_integer()).where(*waits)).scalars()
    return Counter(one for one in notified if one is not None)


def mark_notified(
    connection: Connection, study_instance_uid: str, generation: int, now: float, of: int = precedence(MEDIUM)
) -> None:
    """The workers were notified of this study, by a message of this precedence."""
    here = (jobs.of(JobKind.ANALYSIS), JOB.c.study_instance_uid == study_instance_uid)
    payload = {"generation": generation, "notified_rank": rank_of(of), "precedence": of}
    jobs.change(connection, *here, notified_at=now, payload=payload)
