"""The list of studies, and the state of triage, as the administrator sees them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, select

from node.entities import JobState
from node.ledger import studies, workers
from node.ledger.tables import INSTANCE, RESULT, STUDY, WORK_ITEM
from node.sending import circuits
from node.sending.deliveries import DELIVERY, FAILING
from node.settings import Policy
from node.worklist.items.rows import by_urgency
from node.worklist.triage import decisions

_WAITING = (JobState.PENDING, JobState.STORED)  # to be sent, or for the peer's storage commitment


def moment(at: float | None) -> str | None:
    """A time as ISO 8601 in UTC, to the millisecond."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def list_studies(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """The newest studies first, each with counts of instances and of objects per delivery state."""
    return [study_as_json(row) for row in connection.execute(select_studies().limit(limit)).mappings()]


def triage(connection: Connection, policy: Policy) -> dict[str, Any]:
    """The state of triage for the administrator: alerts that wait, packages that flag nearly everything."""
    return {
        "alerts_waiting": decisions.waiting(connection),
        "stuck_packages": sorted(decisions.stuck(connection, policy)),
    }


def failing_receivers(connection: Connection) -> list[dict[str, Any]]:
    """The receivers that fail again and again and are only probed, and how many objects wait for each."""
    pending = select(DELIVERY.c.peer, func.count()).where(DELIVERY.c.state == JobState.PENDING)
    rows = connection.execute(pending.group_by(DELIVERY.c.peer))
    waiting: dict[str, int] = {row[0]: row[1] for row in rows}
    return [
        {"peer": row["lane"], "failures": row["failures"], "last_error": row["last_error"],
         "since": moment(row["since"]), "probe_at": moment(row["probe_at"]), "waiting": waiting.get(row["lane"], 0)}
        for row in circuits.open_circuits(connection)
    ]  # fmt: skip


def workers_by_name(connection: Connection, now: float) -> list[dict[str, Any]]:
    """The processes that analyse: whether each is ready, and why not."""
    return [
        {"name": one.name, "readiness": one.readiness.value, "reason": one.reason, "since": moment(one.since)}
        for one in workers.states(connection, now)
    ]


def select_studies() -> Select[Any]:
    """Studies, the newest first, with counts of instances and objects, the last error and the worklist's priority."""
    uid = STUDY.c.study_instance_uid
    instances = select(func.count()).where(
        INSTANCE.c.study_instance_uid == uid,
        INSTANCE.c.conflict.is_(False),
        INSTANCE.c.sop_instance_uid.not_in(select(RESULT.c.sop_instance_uid)),
    )
    objects = select(func.count()).select_from(DELIVERY).where(DELIVERY.c.study_instance_uid == uid)
    faulty = select(func.count()).select_from(RESULT).where(RESULT.c.study_instance_uid == uid, studies.quarantined())
    error = select(DELIVERY.c.last_error).where(DELIVERY.c.study_instance_uid == uid, FAILING)
    items = select(WORK_ITEM.c.priority).where(WORK_ITEM.c.study_instance_uid == uid)
    return select(
        STUDY,
        instances.scalar_subquery().label("instances"),
        objects.where(DELIVERY.c.state == JobState.DELIVERED).scalar_subquery().label("objects_delivered"),
        objects.where(DELIVERY.c.state.in_(_WAITING)).scalar_subquery().label("objects_waiting"),
        faulty.scalar_subquery().label("objects_quarantined"),
        error.order_by(DELIVERY.c.id.desc()).limit(1).scalar_subquery().label("last_error"),
        items.order_by(*by_urgency()).limit(1).scalar_subquery().label("priority"),
    ).order_by(STUDY.c.last_received_at.desc())


def study_as_json(row: RowMapping) -> dict[str, Any]:
    """A row of `select_studies`, times in ISO 8601."""
    return {key: row[key] for key in _STUDY_KEYS} | {key: moment(row[key]) for key in _STUDY_TIMES}


_STUDY_KEYS = (
    "study_instance_uid", "state", "reason", "generation", "instances", "priority", "objects_delivered",
    "objects_waiting", "objects_quarantined", "last_error", "calling_ae_title", "evidence",
    "pinned",
)  # fmt: skip
_STUDY_TIMES = ("first_received_at", "last_received_at", "queued_at", "finished_at", "images_deleted_at")
