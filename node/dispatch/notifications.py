"""Which queued studies the workers were notified of, in the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, and_, case, func, or_, select, update

from node.entities import HIGH, MEDIUM, StudyState
from node.ledger.tables import STUDY, WORK_ITEM
from node.worklist.items.priority import Priority, Source
from node.worklist.items.states import State
from node.worklist.reading.data_set import is_reading


def unnotified(connection: Connection, notified_before: float, most: int = 100) -> Sequence[RowMapping]:
    """Queued studies that no worker was notified of, or before `notified_before`, or as less urgent than they are now.

    Each has its `rank` (`node.entities`): HIGH where it was sent so, or where a person made its
    unclaimed reading HIGH.

    Parameters
    ----------
    most
        Of each sender and rank; the oldest.
    """
    rank = case((STUDY.c.study_instance_uid.in_(_ordered(connection)), HIGH), else_=STUDY.c.sent_rank)
    unnotified = or_(STUDY.c.rung_at.is_(None), STUDY.c.rung_at < notified_before, rank < STUDY.c.rung_rank)
    order = (STUDY.c.queued_at, STUDY.c.study_instance_uid)
    place = func.row_number().over(partition_by=(STUDY.c.calling_ae_title, rank), order_by=order)
    found = select(STUDY, rank.label("rank"), place.label("place")).where(
        STUDY.c.state == StudyState.QUEUED, unnotified
    )
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
    notified = or_(
        STUDY.c.state == StudyState.ANALYSING, and_(STUDY.c.state == StudyState.QUEUED, STUDY.c.rung_at.is_not(None))
    )
    query = (
        select(STUDY.c.calling_ae_title, func.count().label("studies"))
        .where(notified)
        .group_by(STUDY.c.calling_ae_title)
    )
    return {row.calling_ae_title: row.studies for row in connection.execute(query)}


def notified_as(connection: Connection, rank: int) -> int:
    """How many studies the workers were notified of, as ones of this rank, that none has taken."""
    notified = (STUDY.c.state == StudyState.QUEUED, STUDY.c.rung_at.is_not(None), STUDY.c.rung_rank == rank)
    return connection.execute(select(func.count()).select_from(STUDY).where(*notified)).scalar_one()


def mark_notified(connection: Connection, study_instance_uid: str, now: float, rank: int = MEDIUM) -> None:
    """The workers were notified of this study, as one of this rank."""
    values = {"rung_at": now, "rung_rank": rank}
    connection.execute(update(STUDY).where(STUDY.c.study_instance_uid == study_instance_uid).values(values))
