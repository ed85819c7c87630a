"""Trying again by hand: one thing for the command and for the page."""

from __future__ import annotations

from sqlalchemy import Connection, select

from node.entities import StudyState
from node.errors import ReadFirstError
from node.ledger import jobs, studies
from node.ledger.tables import STUDY
from node.sending import circuits


def retry(connection: Connection, study_instance_uid: str, now: float) -> tuple[bool, int]:
    """Whether an analysis that failed or was refused is queued again, and how many of the study's jobs are due."""
    _require_files(connection, study_instance_uid)
    circuits.probe_now(connection, study_instance_uid, now)
    analysis = studies.retry(connection, study_instance_uid, now)
    return analysis, jobs.retry(connection, study_instance_uid, now)


def _require_files(connection: Connection, study_instance_uid: str) -> None:
    """ReadFirstError where what would be tried again was deleted: results to send, or else images to analyse."""
    query = select(STUDY).where(STUDY.c.study_instance_uid == study_instance_uid)
    row = connection.execute(query).mappings().first()
    if row is None:
        return
    needed = "results" if row["state"] == StudyState.ANALYSED else "images"
    if row["deleting"] or row[f"{needed}_deleted_at"] is not None:
        raise ReadFirstError(
            f"the {needed} of study {study_instance_uid} were deleted: send its images again, it is analysed anew"
        )
