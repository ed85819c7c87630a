"""What failed, for the status page: analyses, deliveries, objects kept back, and what a worklist sink did not take."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, RowMapping, Select, or_, select

from node.admin import queries
from node.admin.study_view import study_view
from node.entities import DeliveryState, StudyState
from node.ledger.outbox import FAILING
from node.ledger.tables import NOTICE, OUTBOX, RESULT, STUDY

_SHOWN = 50  # failures on the page
_UNTOLD = {DeliveryState.REJECTED: "{} refused the message", DeliveryState.PENDING: "not told to {}"}


def find(connection: Connection) -> list[dict[str, Any]]:
    """Studies of which something failed, newest first: `uid`, `at`, `why`, and whether `retry` does something."""
    here = STUDY.c.study_instance_uid
    failed = or_(STUDY.c.state == StudyState.FAILED, *(here.in_(query) for query in (_late(), _untold(), _faulty())))
    query = select(STUDY).where(failed).order_by(STUDY.c.last_received_at.desc()).limit(_SHOWN)
    return [_failure(connection, row) for row in connection.execute(query).mappings().all()]


def _late() -> Select[Any]:
    return select(OUTBOX.c.study_instance_uid).where(FAILING)


def _untold() -> Select[Any]:
    return select(NOTICE.c.study_instance_uid).where(NOTICE.c.state.in_(_UNTOLD), NOTICE.c.last_error != "")


def _faulty() -> Select[Any]:
    return select(RESULT.c.study_instance_uid).where(queries.quarantined())


def _failure(connection: Connection, row: RowMapping) -> dict[str, Any]:
    uid, failed = row["study_instance_uid"], row["state"] == StudyState.FAILED
    view = study_view(connection, uid)
    story = (view and view.as_json()) or {"deliveries": [], "notices": [], "objects_quarantined": 0}
    late = [
        f"not delivered to {one['peer']}: {one['last_error']}"
        for one in story["deliveries"]
        if one["state"] == DeliveryState.PENDING and one["last_error"]
    ]
    untold = [
        f"{_UNTOLD[one['state']].format(one['sink'])}: {one['last_error']}"
        for one in story["notices"]
        if one["state"] in _UNTOLD and one["last_error"]
    ]
    again = [*([row["reason"]] if failed else []), *late, *untold]
    why = [*again, *_kept_back(story["objects_quarantined"])]
    at = row["finished_at"] or row["last_received_at"]
    return {"uid": uid, "at": at, "why": "; ".join(dict.fromkeys(why)), "again": bool(again)}


def _kept_back(objects: int) -> list[str]:
    what = "object" if objects == 1 else "objects"
    return [f"{objects} {what} did not pass our own checks and stayed here; see the study's story"] if objects else []
