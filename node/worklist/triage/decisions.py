"""Triage decisions: the policy applied to a study in the ledger, each decision stored with its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import structlog
from sqlalchemy import Connection, Row, func, insert, select, update

from node.entities import FoundFinding
from node.ledger.tables import DECISION, STUDY
from node.settings import Policy
from node.worklist.items.json_model import text
from node.worklist.items.priority import Priority, RequestedPriority
from node.worklist.items.rows import Item, of_study
from node.worklist.reading import work_items
from node.worklist.reading.data_set import is_reading
from node.worklist.triage.policy import (
    DecisionInputs,
    Disposition,
    TriageDecision,
    decide,
    finding_priority,
    patient_class,
    requested_by_package,
    stuck_packages,
)

_log = structlog.get_logger(__name__)
_HOUR = 3600.0
_LOOK_BACK = 5  # times `stuck_studies` decisions are read: not every package sees every study


@dataclass(frozen=True, slots=True)
class Analysed:
    """A study's generation and what the models found in it."""

    study_instance_uid: str
    generation: int
    findings: tuple[FoundFinding, ...]


def decide_study(
    connection: Connection, analysed: Analysed, policy: Policy, now: float, *, off: bool = False
) -> TriageDecision:
    """Decide, raise the study's reading items, and store the decision. With `off` nothing is raised."""
    uid = analysed.study_instance_uid
    inputs = _inputs(connection, analysed, policy, now, off=off)
    decision = decide(inputs, policy)
    _log_guards(connection, uid, inputs, decision, policy)
    _close(connection, uid)
    _carry_out(connection, analysed, decision, _stored(inputs, decision, policy), now)
    return decision


def release(connection: Connection, policy: Policy, now: float, *, off: bool = False) -> tuple[str, ...]:
    """Decide anew on studies that wait for the alert budget, the longest waiting first.

    The policy and the stuck-alarm guard of now count, and with `off` nothing is raised.

    Returns
    -------
    tuple
        Study Instance UIDs of those that were raised.
    """
    released = []
    rows = _waiting(connection)
    silenced = stuck(connection, policy) if rows else frozenset()
    for row in rows:
        inputs = DecisionInputs(
            findings=tuple(FoundFinding(**finding) for finding in row.inputs["findings"]),
            patient=row.inputs["patient"],
            hours=row.inputs["hours"] + (now - row.at) / _HOUR,
            alerts=_alerts(connection, now),
            stuck=silenced,
            off=off,
        )
        decision = decide(inputs, policy)
        if decision.disposition is Disposition.WAITS:
            continue
        uid = row.study_instance_uid
        _log_guards(connection, uid, inputs, decision, policy)
        _close(connection, uid)
        stored = _stored(inputs, decision, policy) | {"waited_since": row.at}
        _carry_out(connection, Analysed(uid, row.generation, inputs.findings), decision, stored, now)
        if decision.given is Priority.HIGH:
            released.append(uid)
        else:
            _log.warning("a waiting alert is dropped", study=uid, outcome=decision.disposition.value)
    return tuple(released)


def silent_packages(connection: Connection, study_instance_uid: str) -> frozenset[str]:
    """The packages that the study's newest decision silenced: what they found is for `readfirst study` alone."""
    return silent_by_study(connection, {study_instance_uid}).get(study_instance_uid, frozenset())


def silent_by_study(connection: Connection, study_instance_uids: set[str]) -> dict[str, frozenset[str]]:
    """The `silent_packages` of several studies; a study without a decision is left out."""
    newest = select(func.max(DECISION.c.id)).where(DECISION.c.study_instance_uid.in_(study_instance_uids))
    query = select(DECISION.c.study_instance_uid, DECISION.c.inputs)
    rows = connection.execute(query.where(DECISION.c.id.in_(newest.group_by(DECISION.c.study_instance_uid))))
    return {uid: frozenset(inputs.get("silent", ())) for uid, inputs in rows}


def waiting(connection: Connection) -> int:
    """How many alerts wait for the budget."""
    return connection.execute(select(func.count()).where(DECISION.c.waiting)).scalar_one()


def stuck(connection: Connection, policy: Policy) -> frozenset[str]:
    """The packages that are in shadow mode because they flag nearly everything."""
    return stuck_packages(_history(connection, policy), policy)


def _inputs(connection: Connection, analysed: Analysed, policy: Policy, now: float, *, off: bool) -> DecisionInputs:
    uid = analysed.study_instance_uid
    readings = [item for item in of_study(connection, uid) if is_reading(item.attributes)]
    received_at = connection.execute(select(STUDY.c.last_received_at).where(STUDY.c.study_instance_uid == uid)).scalar()
    return DecisionInputs(
        findings=analysed.findings,
        patient=_patient(readings, now),
        hours=max(now - (now if received_at is None else received_at), 0.0) / _HOUR,
        alerts=_alerts(connection, now),
        stuck=stuck_packages(_history(connection, policy, uid), policy),
        alerted=any(item.priority is Priority.HIGH for item in readings),
        off=off,
    )


def _patient(readings: Sequence[Item], now: float) -> str:
    dates = (text(item.attributes, "PatientBirthDate") for item in readings)
    return patient_class(next(filter(None, dates), ""), now)


def _alerts(connection: Connection, now: float) -> int:
    query = select(func.count(DECISION.c.study_instance_uid.distinct()))
    return connection.execute(query.where(DECISION.c.alerted, DECISION.c.at > now - _HOUR)).scalar_one()


def _history(connection: Connection, policy: Policy, but: str = "") -> list[Mapping[str, Priority]]:
    query = select(DECISION.c.study_instance_uid, DECISION.c.inputs).where(DECISION.c.study_instance_uid != but)
    rows = connection.execute(query.order_by(DECISION.c.id.desc()).limit(_LOOK_BACK * policy.stuck_studies))
    newest: dict[str, Mapping[str, Priority]] = {}
    for row in rows:
        requested = {package: Priority(priority) for package, priority in row.inputs["asked_by"].items()}
        newest.setdefault(row.study_instance_uid, requested)
    return list(newest.values())


def _stored(inputs: DecisionInputs, decision: TriageDecision, policy: Policy) -> dict[str, object]:
    """The inputs as JSON, in the keys of the ledger's column and of `readfirst study --json`."""
    present = (finding for finding in inputs.findings if finding.present)
    priorities = (finding_priority(finding, inputs.patient, policy) for finding in present)
    return {
        "findings": [asdict(finding) for finding in inputs.findings],
        "calls": [
            {"package": one.finding.package, "label": one.finding.label, "priority": one.priority.value,
             "category": one.category, "rule": one.rule}
            for one in priorities
        ],
        "asked_by": requested_by_package(inputs.findings, inputs.patient, policy),
        "patient": inputs.patient,
        "hours": inputs.hours,
        "alerts": inputs.alerts,
        "stuck": sorted(inputs.stuck),
        "silent": sorted(decision.silent),
        "alerted": inputs.alerted,
        "off": inputs.off,
        "policy": policy.model_dump(mode="json"),
    }  # fmt: skip


def _carry_out(
    connection: Connection, analysed: Analysed, decision: TriageDecision, stored: Mapping[str, object], now: float
) -> None:
    """Raise the work items to what the decision gives them, and store it."""
    uid = analysed.study_instance_uid
    requested = RequestedPriority(decision.given, decision.public_reason)
    raised = work_items.raise_priority(connection, uid, requested, now)
    alerted = any(one.changed and one.priority is Priority.HIGH for one in raised)
    connection.execute(
        insert(DECISION).values(
            study_instance_uid=uid, generation=analysed.generation, at=now, asked=decision.requested.value,
            given=decision.given.value if decision.given else "", category=decision.category,
            outcome=decision.disposition.value, waiting=decision.disposition is Disposition.WAITS, alerted=alerted,
            reason=decision.reason, inputs=dict(stored),
        )
    )  # fmt: skip


def _waiting(connection: Connection) -> Sequence[Row[tuple[object, ...]]]:
    return connection.execute(select(DECISION).where(DECISION.c.waiting).order_by(DECISION.c.id)).all()


def _close(connection: Connection, study_instance_uid: str) -> None:
    mine = DECISION.c.study_instance_uid == study_instance_uid
    connection.execute(update(DECISION).where(mine, DECISION.c.waiting).values(waiting=False))


def _log_guards(
    connection: Connection, uid: str, inputs: DecisionInputs, decision: TriageDecision, policy: Policy
) -> None:
    """An alert that waits, and packages that begin or end to be stuck, for the administrator."""
    if decision.disposition is Disposition.WAITS:
        _log.warning("an alert waits: worklist.policy.alerts_an_hour is spent", study=uid, alerts=inputs.alerts)
    last = connection.execute(select(DECISION.c.inputs).order_by(DECISION.c.id.desc()).limit(1)).scalar()
    before = frozenset(last["stuck"]) if last else frozenset()
    for package in sorted(inputs.stuck - before):
        _log.error("in shadow mode: the package flags nearly everything", package=package, share=policy.stuck_share)
    for package in sorted(before - inputs.stuck):
        _log.warning("no longer in shadow mode", package=package)
