"""What is of no study: notices that ended, orders, received reports, audit files that were put aside, leftovers."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import structlog
from sqlalchemy import Column, ColumnElement, delete, select

from node.audit.trail import ASIDE
from node.entities import JobKind, JobState
from node.ledger import jobs
from node.ledger.engine import Ledger
from node.ledger.tables import IMAGING_ORDER, JOB
from node.receiving.store import Store
from node.reports.store import ENDING, folder_of
from node.retention.due import DAY
from node.settings import Settings

_log = structlog.get_logger(__name__)
_AT_ONCE = 500  # rows of a transaction
_LEAST = 2 * DAY  # for so long a notice that ended keeps the same one from being sent again
_ENDED = (JobState.DELIVERED, JobState.SUPERSEDED, JobState.REJECTED, JobState.FAILED)


def forget(settings: Settings, ledger: Ledger, now: float) -> None:
    """Delete all of it that is old enough."""
    keys, data = settings.retention, settings.node.data
    Store(data, 0).remove_leftovers()
    if keys.messages_days:
        before = now - max(keys.messages_days * DAY, _LEAST)
        notices = jobs.of(JobKind.NOTICE, None, *_ENDED)
        _delete_rows(ledger, "notices", JOB.c.id, notices, JOB.c.due_at < before, JOB.c.created_at < before)
        _delete_rows(ledger, "orders", IMAGING_ORDER.c.id, IMAGING_ORDER.c.updated_at < before)
    if keys.reports_days:
        _unlink(folder_of(settings).glob(f"*{ENDING}"), "reports", time.time() - keys.reports_days * DAY)
    if keys.audit_days:
        folder = settings.audit.folder or data / "audit"
        _unlink(folder.glob(ASIDE), "audit files", time.time() - keys.audit_days * DAY)


def _delete_rows(ledger: Ledger, what: str, column: Column[int], *where: ColumnElement[bool]) -> None:
    """In small transactions; nothing is written where nothing is old."""
    while True:
        with ledger.read() as connection:
            ids = connection.execute(select(column).where(*where).limit(_AT_ONCE)).scalars().all()
        if not ids:
            return
        with ledger.write() as connection:
            connection.execute(delete(column.table).where(column.in_(ids), *where))
        _log.info(f"{what} were forgotten", number=len(ids))


def _unlink(paths: Iterable[Path], what: str, before: float) -> None:
    number = 0
    for path in paths:
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()
                number += 1
    if number:
        _log.info(f"{what} were deleted", number=number)
