"""What may be deleted now: conditions on studies, by part. Read from the ledger; nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, exists, or_, select

from node.entities import FINISHED, JobKind, JobState, Part, StudyState
from node.ledger.tables import INSTANCE, JOB, STUDY
from node.settings import Retention

DAY = 86400.0  # seconds
AGAIN, SOON = 6 * 3600.0, 600.0  # seconds until images that may not go are looked at again; where the disk is full
_UNDELIVERED = (JobState.PENDING, JobState.STORED, JobState.FAILED, JobState.REJECTED)
_STANDS = JOB.c.study_instance_uid == STUDY.c.study_instance_uid


def studies(
    connection: Connection, part: Part, keys: Retention, now: float, limit: int, *, early: bool = False, asked: bool,
    only: str | None = None,
) -> Sequence[str]:  # fmt: skip
    """Study Instance UIDs of which this part may be deleted, those that ended first before others.

    Parameters
    ----------
    early
        Before its time, for want of space.
    asked
        Whether a peer can be asked which images it has.
    only
        Of this study alone.
    """
    days: float = getattr(keys, f"{part}_days")
    if not days and not early:
        return ()
    before = now if early else now - days * DAY
    clauses = [STUDY.c.finished_at < before, *_free(part), *_of_part(part, keys, now, before, early=early, asked=asked)]
    if only is not None:
        clauses.append(STUDY.c.study_instance_uid == only)
    query = select(STUDY.c.study_instance_uid).where(*clauses).order_by(STUDY.c.finished_at).limit(limit)
    return connection.execute(query).scalars().all()


def is_undelivered() -> ColumnElement[bool]:
    """Of a study: something of it waits for a receiver, or for its analysis."""
    delivery = and_(JOB.c.kind == JobKind.DELIVERY, JOB.c.state.in_(_UNDELIVERED))
    return exists().where(_STANDS, or_(delivery, JOB.c.kind == JobKind.ANALYSIS))


def _free(part: Part) -> tuple[ColumnElement[bool], ...]:
    """Of every part: the study is finished and delivered, not pinned, and nothing of it is being deleted."""
    waits = is_undelivered()
    if part is Part.ROWS:  # any other job, too: a notice, an event report
        waits = or_(waits, exists().where(_STANDS, JOB.c.state.in_((JobState.PENDING, JobState.STORED))))
    return STUDY.c.state.in_(FINISHED), STUDY.c.deleting == "", STUDY.c.pinned.is_(False), ~waits


def _of_part(
    part: Part, keys: Retention, now: float, before: float, *, early: bool, asked: bool
) -> tuple[ColumnElement[bool], ...]:
    delivered = and_(_STANDS, JOB.c.kind == JobKind.DELIVERY)
    just_delivered = exists().where(delivered, JOB.c.done_at >= before)
    match part:
        case Part.IMAGES:
            just_received = exists().where(
                INSTANCE.c.study_instance_uid == STUDY.c.study_instance_uid, INSTANCE.c.received_at >= before
            )
            unchecked = or_(STUDY.c.checked_at.is_(None), STUDY.c.checked_at < now - (SOON if early else AGAIN))
            there = STUDY.c.images_deleted_at.is_(None)
            return there, ~just_delivered, ~just_received, unchecked, *_held_back(keys, now, early=early, asked=asked)
        case Part.RESULTS:
            taken = exists().where(delivered, JOB.c.state == JobState.DELIVERED)
            once = (taken,) if early else ()  # what nobody has is never deleted before its time
            return STUDY.c.results_deleted_at.is_(None), ~just_delivered, *once
        case Part.PICTURES:
            return (STUDY.c.pictures_deleted_at.is_(None),)
        case Part.ROWS:
            gone = (STUDY.c[f"{one}_deleted_at"].is_not(None) for one in ("images", "results", "pictures"))
            return tuple(gone)
    return ()


def _held_back(keys: Retention, now: float, *, early: bool, asked: bool) -> tuple[ColumnElement[bool], ...]:
    """Images that a sender had committed to, or whose analysis failed, stay longer, or until a peer shows them."""
    committed: ColumnElement[bool] = STUDY.c.committed_at.is_(None)
    if asked:
        committed = or_(committed, STUDY.c.committed_at < now - keys.committed_days * DAY)
    failed: ColumnElement[bool] = STUDY.c.state != StudyState.FAILED
    if early and asked:
        return (committed,)
    if not early and keys.quarantine_days:
        failed = or_(failed, STUDY.c.finished_at < now - keys.quarantine_days * DAY)
    return committed, failed
