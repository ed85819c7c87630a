"""One study as people see it: what the study's page and `readfirst study` show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, FromClause, RowMapping, Select, and_, func, select

from node.admin.queries import moment, select_studies, study_as_json
from node.ledger.tables import DECISION, EVENT, FEEDBACK, FINDING, PICTURE, RESULT, STUDY, WORK_ITEM
from node.sending.deliveries import DELIVERY
from node.worklist.items.rows import Item, by_urgency, read
from node.worklist.sinks import notices

Rows = Sequence[RowMapping]


@dataclass(frozen=True, slots=True)
class StudyView:
    """What the ledger has of one study, rows by column; those without an order named here, the oldest first."""

    study_instance_uid: str
    study: RowMapping | None  # with the counts of `readfirst status`; None where only work items name the study
    items: tuple[Item, ...]  # its work items, the most urgent first
    findings: Rows  # of its newest generation, each with the reader's `feedback`, empty where there is none
    results: Rows
    deliveries: Rows  # each with the `kind` of its object
    decisions: Rows
    notices: Rows
    pictures: Rows
    events: Rows

    @property
    def silent(self) -> frozenset[str]:
        """The packages in shadow mode, by the newest decision."""
        return frozenset(self.decisions[-1]["inputs"].get("silent", ())) if self.decisions else frozenset()

    @property
    def deleted(self) -> dict[str, RowMapping]:
        """The event that a part's files were deleted, by part, of those that are gone."""
        study = self.study
        if study is None:
            return {}
        gone = {part for part in ("results", "pictures") if study[f"{part}_deleted_at"] is not None}
        gone |= set() if study["instances"] else {"images"}
        kinds = {f"{part} deleted": part for part in sorted(gone)}
        return {kinds[event["kind"]]: event for event in self.events if event["kind"] in kinds}

    def as_json(self) -> dict[str, Any] | None:
        """The study for `readfirst study --json`, times in ISO 8601; None where only work items name it."""
        if self.study is None:
            return None
        parts = {name: getattr(self, name) for name in _KEYS}
        return study_as_json(self.study) | {name: [_as_json(row, _KEYS[name]) for row in parts[name]] for name in parts}


def study_view(connection: Connection, study_instance_uid: str) -> StudyView | None:
    """Read all of one study; None where the ledger does not know it."""

    def rows(query: Select[Any], table: FromClause) -> Rows:
        return connection.execute(query.where(table.c.study_instance_uid == study_instance_uid)).mappings().all()

    study = rows(select_studies(), STUDY)
    items = tuple(map(read, rows(select(WORK_ITEM).order_by(*by_urgency()), WORK_ITEM)))
    if not study and not items:
        return None
    return StudyView(
        study_instance_uid,
        study=study[0] if study else None,
        items=items,
        findings=rows(_FINDINGS.order_by(FINDING.c.id), FINDING),
        results=rows(select(RESULT).order_by(RESULT.c.created_at), RESULT),
        deliveries=rows(_DELIVERIES.order_by(DELIVERY.c.id), DELIVERY),
        decisions=rows(select(DECISION).order_by(DECISION.c.id), DECISION),
        notices=notices.of_study(connection, study_instance_uid),
        pictures=rows(select(PICTURE).order_by(PICTURE.c.id), PICTURE),
        events=rows(select(EVENT).order_by(EVENT.c.id), EVENT),
    )


def _as_json(row: RowMapping, keys: Iterable[str]) -> dict[str, Any]:
    return {key: moment(row[key]) if key in _TIMES else row[key] for key in keys}


_SAME = (FINDING.c[key] == FEEDBACK.c[key] for key in ("study_instance_uid", "generation", "package", "label"))
_FINDINGS = select(FINDING, func.coalesce(FEEDBACK.c.verdict, "").label("feedback")).outerjoin(FEEDBACK, and_(*_SAME))
_DELIVERIES = select(DELIVERY, RESULT.c.kind).join(RESULT, RESULT.c.sop_instance_uid == DELIVERY.c.sop_instance_uid)

_KEYS: Mapping[str, tuple[str, ...]] = {  # of the JSON
    "findings": ("package", "label", "quantity", "probability", "operating_point", "present", "place", "urgency",
                 "raises_priority"),
    "results": ("sop_instance_uid", "sop_class_uid", "series_instance_uid", "kind", "generation", "path", "created_at"),
    "deliveries": (
        "sop_instance_uid", "kind", "peer", "state", "attempts", "last_error", "next_attempt_at", "delivered_at",
    ),
    "decisions": ("generation", "asked", "given", "category", "outcome", "waiting", "reason", "inputs", "at"),
    "notices": (
        "sink", "priority", "state", "attempts", "control_id", "acknowledgement", "last_error", "decided_at",
        "next_attempt_at", "delivered_at",
    ),
    "events": ("at", "kind", "detail"),
}  # fmt: skip
_TIMES = ("at", "created_at", "decided_at", "next_attempt_at", "delivered_at")
