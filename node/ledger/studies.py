"""Studies in the ledger: what was received, which generation is analysed, how it ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    delete,
    func,
    insert,
    null,
    or_,
    select,
    update,
)

from node.entities import QUARANTINE, AnalysisReport, JobKind, JobState, StudyState
from node.ledger import jobs
from node.ledger.engine import note
from node.ledger.jobs import LEASE, NewJob
from node.ledger.tables import EVENT, FINDING, INSTANCE, JOB, PICTURE, RESULT, STUDY
from node.plurals import counted

MOST_ATTEMPTS = 3  # to queue a study, or analyses that a worker may die of, before the study counts as failed

_ACCESSION_NUMBER = "00080050"
_UNFINISHED = (StudyState.RECEIVING, StudyState.QUEUED, StudyState.ANALYSING)


def receiving(connection: Connection) -> Sequence[RowMapping]:
    """Studies that still receive, each with `instances`, the number of its instances, and its `accession_number`."""
    theirs = and_(
        INSTANCE.c.study_instance_uid == STUDY.c.study_instance_uid,
        INSTANCE.c.sop_instance_uid.not_in(select(RESULT.c.sop_instance_uid)),
    )
    count = select(func.count(INSTANCE.c.sop_instance_uid.distinct())).where(theirs).scalar_subquery()
    accession = STUDY.c.header[(_ACCESSION_NUMBER, "Value", 0)].as_string()
    columns = (column for column in STUDY.c if column is not STUDY.c.header)
    query = select(*columns, count.label("instances"), accession.label("accession_number"))
    return connection.execute(query.where(STUDY.c.state == StudyState.RECEIVING)).mappings().all()


def of_accession(connection: Connection, accession_number: str) -> list[str]:
    """Study Instance UIDs of the studies whose images have this accession number."""
    found = STUDY.c.header[(_ACCESSION_NUMBER, "Value", 0)].as_string() == accession_number
    return list(connection.execute(select(STUDY.c.study_instance_uid).where(found)).scalars())


def set_header(connection: Connection, study_instance_uid: str, header: Mapping[str, Any]) -> None:
    """Keep what the worklist needs of a header, DICOM JSON Model, unless the study has one already."""
    lacks = (STUDY.c.study_instance_uid == study_instance_uid, STUDY.c.header.is_(null()))
    connection.execute(update(STUDY).where(*lacks).values(header=header))


def header(connection: Connection, study_instance_uid: str) -> Mapping[str, Any] | None:
    """What is kept of a header; None where none was read, as of studies from before this version."""
    query = select(STUDY.c.header).where(STUDY.c.study_instance_uid == study_instance_uid)
    kept: Mapping[str, Any] | None = connection.execute(query).scalar()
    return kept


def count_patients(connection: Connection, study_instance_uid: str) -> int:
    """How many Patient IDs the study's instances were sent with."""
    known = INSTANCE.c.study_instance_uid == study_instance_uid, INSTANCE.c.patient_id != ""
    return int(connection.execute(select(func.count(INSTANCE.c.patient_id.distinct())).where(*known)).scalar_one())


def begin_queueing(connection: Connection, study_instance_uids: Collection[str]) -> None:
    """Count an attempt to queue them, before it is made: one that ends this process counts, too."""
    of = STUDY.c.study_instance_uid.in_(study_instance_uids)
    connection.execute(update(STUDY).where(of).values(queue_attempts=STUDY.c.queue_attempts + 1))


def fail_queueing(connection: Connection, study_instance_uid: str, reason: str, now: float) -> bool:
    """The study cannot be queued; False where it no longer is to be."""
    here = (STUDY.c.study_instance_uid == study_instance_uid, STUDY.c.state == StudyState.RECEIVING)
    values = {"state": StudyState.FAILED, "reason": reason, "finished_at": now}
    done = connection.execute(update(STUDY).where(*here).values(values)).rowcount
    if done:
        note(connection, study_instance_uid, now, "failed", reason)
    return bool(done)


def fail(connection: Connection, study_instance_uid: str, generation: int, reason: str, now: float) -> bool:
    """The analysis of this generation, under way or queued again since, has failed for good."""
    unended = STUDY.c.state.in_((StudyState.ANALYSING, StudyState.QUEUED))
    values = {"state": StudyState.FAILED, "reason": reason, "finished_at": now}
    here = and_(_is(study_instance_uid, generation), unended)
    done = connection.execute(update(STUDY).where(here).values(values)).rowcount
    if done:
        jobs.remove(connection, _job(study_instance_uid))
        note(connection, study_instance_uid, now, "failed", reason)
    return bool(done)


def complete(connection: Connection, row: RowMapping, evidence: str, now: float) -> bool:
    """Take a study for complete and queue its analysis, unless it has grown since `row` was read."""
    uid = row["study_instance_uid"]
    done = connection.execute(
        update(STUDY)
        .where(
            STUDY.c.study_instance_uid == uid,
            STUDY.c.state == StudyState.RECEIVING,
            STUDY.c.last_received_at == row["last_received_at"],
        )
        .values(state=StudyState.QUEUED, evidence=evidence, queued_at=now)
    )
    if done.rowcount:
        _queue(connection, row, now)
        note(connection, uid, now, "complete", f"{counted(row['instances'], 'instance')}: {evidence}")
    return bool(done.rowcount)


def _queue(connection: Connection, study: RowMapping, now: float) -> None:
    """Put the analysis. Lane: who sent the study; key: Study Instance UID; gone when it ends, or late images arrive."""
    uid, payload = study["study_instance_uid"], {"generation": study["generation"]}
    jobs.put(connection, NewJob(JobKind.ANALYSIS, study["calling_ae_title"], uid, uid, payload), now)


def drop_analysis(connection: Connection, study_instance_uid: str) -> None:
    """Late images arrived: what was queued, or is under way, is overtaken."""
    jobs.remove(connection, _job(study_instance_uid))


def claim(connection: Connection, study_instance_uid: str, generation: int, now: float, lease: float = LEASE) -> bool:
    """Take a queued analysis for this worker for `lease` seconds; False where it is not there to be taken."""
    done = connection.execute(
        update(STUDY)
        .where(_is(study_instance_uid, generation), STUDY.c.state == StudyState.QUEUED)
        .values(state=StudyState.ANALYSING, reason="")
    )
    if done.rowcount:
        attempts = JOB.c.attempts + 1
        jobs.change(connection, _job(study_instance_uid), lease_until=now + lease, attempts=attempts)
        note(connection, study_instance_uid, now, "analysing", f"generation {generation}")
    return bool(done.rowcount)


def extend(connection: Connection, study_instance_uid: str, generation: int, lease_until: float) -> None:
    """The worker continues."""
    ours = (_job(study_instance_uid), JOB.c.payload["generation"].as_integer() == generation)
    jobs.change(connection, *ours, JOB.c.lease_until.is_not(None), lease_until=lease_until)


def under_way(connection: Connection, study_instance_uid: str, generation: int) -> int:
    """How often the analysis that is under way was begun; 0 where none is: it was overtaken."""
    here = and_(_is(study_instance_uid, generation), STUDY.c.state == StudyState.ANALYSING)
    if connection.execute(select(STUDY.c.generation).where(here)).first() is None:
        return 0
    return sum(int(job["attempts"]) for job in jobs.find(connection, _job(study_instance_uid)))


def postpone(
    connection: Connection, study_instance_uid: str, generation: int, now: float, due_at: float, reason: str = "", *,
    counts: bool = False,
) -> bool:  # fmt: skip
    """Give an analysis back to the queue until `due_at`; whether its `reason` is a new one.

    Unless it counts as an attempt it is no fault of the study's, and begins anew without a trace.
    """
    (job,) = jobs.find(connection, _job(study_instance_uid)) or (None,)
    if job is None or not _end(connection, study_instance_uid, generation, state=StudyState.QUEUED, reason=reason):
        return False
    attempts = job["attempts"] if counts else job["attempts"] - 1
    values = {"notified_at": None, "lease_until": None, "attempts": attempts, "due_at": due_at, "last_error": reason}
    jobs.change(connection, _job(study_instance_uid), **values)
    begun = select(func.max(EVENT.c.id)).where(
        EVENT.c.study_instance_uid == study_instance_uid, EVENT.c.kind == StudyState.ANALYSING
    )
    if not counts:
        connection.execute(delete(EVENT).where(EVENT.c.id == begun.scalar_subquery()))
    new = bool(reason) and reason != job["last_error"]
    if new:
        note(connection, study_instance_uid, now, "waits", reason)
    return new


def lost(connection: Connection, now: float) -> Sequence[RowMapping]:
    """Analyses that a worker held, and for which it no longer extends its lease."""
    return jobs.find(connection, jobs.of(JobKind.ANALYSIS), JOB.c.lease_until < now)


def release_lost(connection: Connection, now: float) -> dict[str, str]:
    """Queue again what is lost; after `MOST_ATTEMPTS` the study has failed.

    Returns
    -------
    dict
        Study Instance UID to reason of those that have failed.
    """
    failed = {}
    for row in lost(connection, now):
        uid, generation, tries = row["study_instance_uid"], row["payload"]["generation"], row["attempts"]
        if tries < MOST_ATTEMPTS:
            _end(connection, uid, generation, state=StudyState.QUEUED)
            jobs.change(connection, _job(uid), lease_until=None, notified_at=None)
            note(connection, uid, now, "worker lost", "its lease ended; queued again")
        else:
            failed[uid] = f"the analysis failed: the worker died {counted(tries, 'time')} while it analysed this study"
            _end(connection, uid, generation, state=StudyState.FAILED, reason=failed[uid], finished_at=now)
            jobs.remove(connection, _job(uid))
            note(connection, uid, now, "failed", failed[uid])
    return failed


def _end(connection: Connection, study_instance_uid: str, generation: int, **values: object) -> bool:
    """The analysis ends, if it still is under way."""
    here = and_(_is(study_instance_uid, generation), STUDY.c.state == StudyState.ANALYSING)
    return bool(connection.execute(update(STUDY).where(here).values(values)).rowcount)


def inputs(connection: Connection, study_instance_uid: str) -> Sequence[RowMapping]:
    """The study's instances that may be analysed: all but those whose content is in doubt, in a stable order."""
    query = select(INSTANCE).where(INSTANCE.c.study_instance_uid == study_instance_uid, INSTANCE.c.conflict.is_(False))
    return connection.execute(query.order_by(INSTANCE.c.sop_instance_uid)).mappings().all()


def predecessors(connection: Connection, study_instance_uid: str, generation: int) -> Sequence[RowMapping]:
    """Each package's objects of its newest generation before `generation` that a peer has, or is just being sent."""
    older = and_(RESULT.c.study_instance_uid == study_instance_uid, RESULT.c.generation < generation)
    under_way = and_(JOB.c.state == JobState.PENDING, JOB.c.lease_until.is_not(None))
    taken = JOB.c.state.in_((JobState.STORED, JobState.DELIVERED))
    of_study = (JOB.c.study_instance_uid == study_instance_uid, JOB.c.kind == JobKind.DELIVERY)
    held = select(JOB.c.key).where(*of_study, or_(taken, under_way))
    older = and_(older, RESULT.c.sop_instance_uid.in_(held), RESULT.c.path.not_like(f"{QUARANTINE}/%"))
    rows = connection.execute(select(RESULT).where(older).order_by(RESULT.c.sop_instance_uid)).mappings().all()
    newest = {row["package"]: row["generation"] for row in sorted(rows, key=lambda row: row["generation"])}
    return [row for row in rows if row["generation"] == newest[row["package"]]]


def finish(
    connection: Connection, study_instance_uid: str, generation: int, report: AnalysisReport, now: float
) -> bool:
    """Write down how an analysis ended. False, and nothing is written, where it no longer is under way.

    Late images opened a newer generation, or the lease ended and the study was queued again: another analysis
    records its end.
    """
    ended = {"state": report.state, "reason": report.reason, "finished_at": now}
    made = {"results_deleted_at": None, "pictures_deleted_at": None}
    if not _end(connection, study_instance_uid, generation, **ended, **made):
        return False
    jobs.remove(connection, _job(study_instance_uid))
    connection.execute(FINDING.delete().where(FINDING.c.study_instance_uid == study_instance_uid))
    for finding in report.findings:
        connection.execute(
            insert(FINDING).values(study_instance_uid=study_instance_uid, generation=generation, **asdict(finding))
        )
    connection.execute(PICTURE.delete().where(PICTURE.c.study_instance_uid == study_instance_uid))
    for picture in report.pictures:
        connection.execute(
            insert(PICTURE).values(study_instance_uid=study_instance_uid, generation=generation, **asdict(picture))
        )
    for reason in sorted({reason for _uid, reason in report.left_out}):
        count = sum(1 for _uid, other in report.left_out if other == reason)
        note(connection, study_instance_uid, now, "left out", f"{count} instance{'s' * (count > 1)}: {reason}")
    for line in report.notes:
        note(connection, study_instance_uid, now, "note", line)
    note(connection, study_instance_uid, now, report.state, report.reason or f"generation {generation}")
    return True


def quarantined() -> ColumnElement[bool]:
    """Of a row of RESULT: an object of its study's newest generation that did not pass our own checks."""
    other = RESULT.alias()
    newest = select(func.max(other.c.generation)).where(other.c.study_instance_uid == RESULT.c.study_instance_uid)
    return and_(RESULT.c.path.like(f"{QUARANTINE}/%"), RESULT.c.generation == newest.scalar_subquery())


def retry(connection: Connection, study_instance_uid: str, now: float) -> bool:
    """Queue a study again that failed, was not analysed, or of which objects did not pass our own checks.

    Its objects are made and checked anew: those that pass now are delivered, and what a peer has is not sent again. One
    whose images were deleted is not.
    """
    faulty = select(RESULT.c.study_instance_uid).where(quarantined())
    analysed = and_(STUDY.c.state == StudyState.ANALYSED, STUDY.c.study_instance_uid.in_(faulty))
    ended = or_(STUDY.c.state.in_((StudyState.FAILED, StudyState.NOT_ANALYSED)), analysed)
    here = and_(STUDY.c.study_instance_uid == study_instance_uid, ended)
    study = connection.execute(select(STUDY).where(here)).mappings().first()
    if study is None or study["deleting"] or study["images_deleted_at"] is not None:
        return False
    values = {"state": StudyState.QUEUED, "reason": "", "queued_at": now, "finished_at": None}
    connection.execute(update(STUDY).where(here).values(values))
    _queue(connection, study, now)
    note(connection, study_instance_uid, now, "retry", "analysis asked for again by hand")
    return True


def unfinished(connection: Connection) -> int:
    """How many studies are on their way."""
    return connection.execute(select(func.count()).where(STUDY.c.state.in_(_UNFINISHED))).scalar_one()


def _is(study_instance_uid: str, generation: int) -> ColumnElement[bool]:
    return and_(STUDY.c.study_instance_uid == study_instance_uid, STUDY.c.generation == generation)


def _job(study_instance_uid: str) -> ColumnElement[bool]:
    return and_(jobs.of(JobKind.ANALYSIS), JOB.c.study_instance_uid == study_instance_uid)
