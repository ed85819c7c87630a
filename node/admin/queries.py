"""What people ask the ledger: the list of studies, one study's whole story."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, Table, and_, func, select

from node.entities import QUARANTINE, DeliveryState
from node.ledger.outbox import FAILING
from node.ledger.tables import DECISION, EVENT, FINDING, INSTANCE, OUTBOX, RESULT, STUDY, WORK_ITEM
from node.settings import Policy
from node.worklist.items.rows import by_urgency
from node.worklist.sinks import notices
from node.worklist.triage import decisions

_WAITING = (DeliveryState.PENDING, DeliveryState.STORED)  # to be sent, or for the peer's word that it keeps it


def moment(at: float | None) -> str | None:
    """A time as ISO 8601 in UTC, to the millisecond."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def list_studies(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """The newest studies first, each with counts of instances and of objects per delivery state."""
    return [_study(row) for row in connection.execute(_studies().limit(limit)).mappings()]


def story(connection: Connection, study_instance_uid: str) -> dict[str, Any] | None:
    """One study with findings, objects, deliveries and events; None where the ledger does not know it."""
    row = connection.execute(_studies().where(STUDY.c.study_instance_uid == study_instance_uid)).mappings().first()
    if row is None:
        return None
    return _study(row) | {
        "findings": [
            {key: finding[key] for key in _FINDING_KEYS}
            for finding in _of_study(connection, select(FINDING).order_by(FINDING.c.id), FINDING, study_instance_uid)
        ],
        "results": [
            {key: result[key] for key in _RESULT_KEYS} | {"created_at": moment(result["created_at"])}
            for result in _of_study(
                connection, select(RESULT).order_by(RESULT.c.created_at), RESULT, study_instance_uid
            )
        ],
        "deliveries": [
            _delivery(delivery)
            for delivery in _of_study(connection, _DELIVERIES.order_by(OUTBOX.c.id), OUTBOX, study_instance_uid)
        ],
        "decisions": [
            {key: decision[key] for key in _DECISION_KEYS} | {"at": moment(decision["at"])}
            for decision in _of_study(
                connection, select(DECISION).order_by(DECISION.c.id), DECISION, study_instance_uid
            )
        ],
        "notices": [
            {key: notice[key] for key in _NOTICE_KEYS} | {key: moment(notice[key]) for key in _NOTICE_TIMES}
            for notice in notices.of_study(connection, study_instance_uid)
        ],
        "events": [
            {"at": moment(event["at"]), "kind": event["kind"], "detail": event["detail"]}
            for event in _of_study(connection, select(EVENT).order_by(EVENT.c.id), EVENT, study_instance_uid)
        ],
    }


def triage(connection: Connection, policy: Policy) -> dict[str, Any]:
    """What the administrator should know of triage: alerts that wait, packages that flag nearly everything."""
    return {
        "alerts_waiting": decisions.waiting(connection),
        "stuck_packages": sorted(decisions.stuck(connection, policy)),
    }


def quarantined() -> ColumnElement[bool]:
    """Of a row of RESULT: an object of its study's newest generation that did not pass our own checks."""
    other = RESULT.alias()
    newest = select(func.max(other.c.generation)).where(other.c.study_instance_uid == RESULT.c.study_instance_uid)
    return and_(RESULT.c.path.like(f"{QUARANTINE}/%"), RESULT.c.generation == newest.scalar_subquery())


def _studies() -> Select[Any]:
    uid = STUDY.c.study_instance_uid
    instances = select(func.count()).where(
        INSTANCE.c.study_instance_uid == uid,
        INSTANCE.c.conflict.is_(False),
        INSTANCE.c.sop_instance_uid.not_in(select(RESULT.c.sop_instance_uid)),
    )
    objects = select(func.count()).select_from(OUTBOX).where(OUTBOX.c.study_instance_uid == uid)
    faulty = select(func.count()).select_from(RESULT).where(RESULT.c.study_instance_uid == uid, quarantined())
    error = select(OUTBOX.c.last_error).where(OUTBOX.c.study_instance_uid == uid, FAILING)
    items = select(WORK_ITEM.c.priority).where(WORK_ITEM.c.study_instance_uid == uid)
    return select(
        STUDY,
        instances.scalar_subquery().label("instances"),
        objects.where(OUTBOX.c.state == DeliveryState.DELIVERED).scalar_subquery().label("objects_delivered"),
        objects.where(OUTBOX.c.state.in_(_WAITING)).scalar_subquery().label("objects_waiting"),
        faulty.scalar_subquery().label("objects_quarantined"),
        error.order_by(OUTBOX.c.id.desc()).limit(1).scalar_subquery().label("last_error"),
        items.order_by(*by_urgency()).limit(1).scalar_subquery().label("priority"),
    ).order_by(STUDY.c.last_received_at.desc())


def _of_study(connection: Connection, query: Select[Any], table: Table, uid: str) -> Sequence[RowMapping]:
    return connection.execute(query.where(table.c.study_instance_uid == uid)).mappings().all()


def _study(row: RowMapping) -> dict[str, Any]:
    return {key: row[key] for key in _STUDY_KEYS} | {key: moment(row[key]) for key in _STUDY_TIMES}


def _delivery(row: RowMapping) -> dict[str, Any]:
    return {key: row[key] for key in _DELIVERY_KEYS} | {key: moment(row[key]) for key in _DELIVERY_TIMES}


_STUDY_KEYS = (
    "study_instance_uid", "state", "reason", "generation", "instances", "priority", "objects_delivered",
    "objects_waiting", "objects_quarantined", "last_error", "calling_ae_title", "evidence",
)  # fmt: skip
_STUDY_TIMES = ("first_received_at", "last_received_at", "queued_at", "finished_at")
_FINDING_KEYS = ("package", "label", "quantity", "probability", "operating_point", "present", "place", "urgency")
_DECISION_KEYS = ("generation", "asked", "given", "category", "outcome", "waiting", "reason", "inputs")
_RESULT_KEYS = ("sop_instance_uid", "sop_class_uid", "series_instance_uid", "kind", "generation", "path")
_DELIVERIES = select(OUTBOX, RESULT.c.kind).join(RESULT, RESULT.c.sop_instance_uid == OUTBOX.c.sop_instance_uid)
_DELIVERY_KEYS = ("sop_instance_uid", "kind", "peer", "state", "attempts", "last_error")
_NOTICE_KEYS = ("sink", "priority", "state", "attempts", "control_id", "acknowledgement", "last_error")
_NOTICE_TIMES = ("decided_at", "next_attempt_at", "delivered_at")
_DELIVERY_TIMES = ("next_attempt_at", "delivered_at")
