"""Trying again by hand: one thing for the command and for the page."""

from __future__ import annotations

from sqlalchemy import Connection

from node.ledger import jobs, studies
from node.sending import circuits


def retry(connection: Connection, study_instance_uid: str, now: float) -> tuple[bool, int]:
    """Whether an analysis that failed or was refused is queued again, and how many of the study's jobs are due."""
    circuits.probe_now(connection, study_instance_uid, now)
    analysis = studies.retry(connection, study_instance_uid, now)
    return analysis, jobs.retry(connection, study_instance_uid, now)
