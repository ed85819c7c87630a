"""What failed, for the status page: analyses, objects kept back, and jobs that failed and wait, or were rejected."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, RowMapping, or_, select

from node.entities import JobKind, JobState, StudyState
from node.ledger import jobs, studies
from node.ledger.tables import JOB, RESULT, STUDY

_SHOWN = 50  # failures on the page
_WORDS = {  # of kind and state
    (JobKind.DELIVERY, JobState.PENDING): "not delivered to {}",
    (JobKind.ANALYSIS, JobState.PENDING): "sent by {}",
    (JobKind.NOTICE, JobState.PENDING): "{} is not notified",
    (JobKind.NOTICE, JobState.REJECTED): "{} refused the message",
}


def find(connection: Connection) -> list[dict[str, Any]]:
    """Studies of which something failed, newest first: `uid`, `at`, `why`, and whether `retry` does something."""
    here = STUDY.c.study_instance_uid
    troubled = select(JOB.c.study_instance_uid).where(jobs.TROUBLED)
    faulty = select(RESULT.c.study_instance_uid).where(studies.quarantined())
    failed = or_(STUDY.c.state == StudyState.FAILED, here.in_(troubled), here.in_(faulty))
    query = select(STUDY).where(failed).order_by(STUDY.c.last_received_at.desc()).limit(_SHOWN)
    return [_failure(connection, row) for row in connection.execute(query).mappings().all()]


def waiting(connection: Connection) -> list[RowMapping]:
    """Jobs of no study that wait after a failure: event reports, commitment results, audit messages."""
    return [row for row in jobs.troubled(connection, _SHOWN) if not row["study_instance_uid"]]


def _failure(connection: Connection, row: RowMapping) -> dict[str, Any]:
    uid, failed = row["study_instance_uid"], row["state"] == StudyState.FAILED
    of_study = jobs.find(connection, JOB.c.study_instance_uid == uid, jobs.TROUBLED)
    again = [one for one in of_study if one["kind"] != JobKind.ANALYSIS]  # which is tried again by itself
    known = [*([row["reason"]] if failed else []), *map(_why, of_study)]
    quarantined = (RESULT.c.study_instance_uid == uid, studies.quarantined())
    kept_back = len(connection.execute(select(RESULT.c.kind).where(*quarantined)).all())
    why = [*known, *_kept_back(kept_back)]
    at = row["finished_at"] or row["last_received_at"]
    return {"uid": uid, "at": at, "why": "; ".join(dict.fromkeys(why)), "again": failed or bool(again or kept_back)}


def _why(row: RowMapping) -> str:
    words = _WORDS.get((JobKind(row["kind"]), JobState(row["state"])), f"{row['kind']} to {{}} is {row['state']}")
    return f"{words.format(row['lane'])}: {row['last_error']}"


def _kept_back(objects: int) -> list[str]:
    what = "object" if objects == 1 else "objects"
    return [f"{objects} {what} did not pass our own checks and stayed here; see the study's story"] if objects else []
