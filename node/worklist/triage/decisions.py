"""Triage speaks: the policy applied to a study in the ledger, and each decision stored with what it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import structlog
from sqlalchemy import Connection, Row, func, insert, select, update

from node.entities import FoundFinding
from node.ledger.tables import DECISION, STUDY
from node.settings import Policy
from node.worklist.items.json_model import text
from node.worklist.items.priority import Priority, Triage
from node.worklist.items.rows import Item, of_study
from node.worklist.reading import work_items
from node.worklist.reading.data_set import is_reading
from node.worklist.triage.policy import (
    Case,
    Outcome,
    Verdict,
    asked_by_package,
    call,
    judge,
    patient_class,
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
) -> Verdict:
    """Decide, tell the study's reading items, and remember why. With `off` nothing is raised."""
    uid = analysed.study_instance_uid
    case = _case(connection, analysed, policy, now, off=off)
    verdict = judge(case, policy)
    _tell_administrator(connection, uid, case, verdict, policy)
    _close(connection, uid)
    _carry_out(connection, analysed, verdict, _inputs(case, verdict, policy), now)
    return verdict


def release(connection: Connection, policy: Policy, now: float, *, off: bool = False) -> tuple[str, ...]:
    """Judge studies that waited for the alert budget anew, the longest waiting first.

    What waits is held to the policy and the stuck-alarm guard of now, and with `off` nothing is raised.

    Returns
    -------
    tuple
        Study Instance UIDs of those that were raised.
    """
    released = []
    rows = _waiting(connection)
    silenced = stuck(connection, policy) if rows else frozenset()
    for row in rows:
        case = Case(
            findings=tuple(FoundFinding(**finding) for finding in row.inputs["findings"]),
            patient=row.inputs["patient"],
            hours=row.inputs["hours"] + (now - row.at) / _HOUR,
            alerts=_alerts(connection, now),
            stuck=silenced,
            off=off,
        )
        verdict = judge(case, policy)
        if verdict.outcome is Outcome.WAITS:
            continue
        _tell_administrator(connection, row.study_instance_uid, case, verdict, policy)
        analysed = Analysed(row.study_instance_uid, row.generation, case.findings)
        _close(connection, row.study_instance_uid)
        _carry_out(connection, analysed, verdict, _inputs(case, verdict, policy) | {"waited_since": row.at}, now)
        if verdict.given is Priority.HIGH:
            released.append(row.study_instance_uid)
        else:
            _log.warning("an alert that waited is let go", study=row.study_instance_uid, outcome=verdict.outcome.value)
    return tuple(released)


def silent_packages(connection: Connection, study_instance_uid: str) -> frozenset[str]:
    """The packages that the study's newest decision silenced: what they found is for `readfirst study` alone."""
    query = select(DECISION.c.inputs).where(DECISION.c.study_instance_uid == study_instance_uid)
    inputs = connection.execute(query.order_by(DECISION.c.id.desc()).limit(1)).scalar()
    return frozenset(inputs.get("silent", ())) if inputs else frozenset()


def waiting(connection: Connection) -> int:
    """How many alerts wait for the budget."""
    return connection.execute(select(func.count()).where(DECISION.c.waiting)).scalar_one()


def stuck(connection: Connection, policy: Policy) -> frozenset[str]:
    """The packages that are in shadow mode because they flag nearly everything."""
    return stuck_packages(_history(connection, policy), policy)


def _case(connection: Connection, analysed: Analysed, policy: Policy, now: float, *, off: bool) -> Case:
    uid = analysed.study_instance_uid
    readings = [item for item in of_study(connection, uid) if is_reading(item.attributes)]
    came = connection.execute(select(STUDY.c.last_received_at).where(STUDY.c.study_instance_uid == uid)).scalar()
    return Case(
        findings=analysed.findings,
        patient=_patient(readings, now),
        hours=max(now - (now if came is None else came), 0.0) / _HOUR,
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
        asked = {package: Priority(priority) for package, priority in row.inputs["asked_by"].items()}
        newest.setdefault(row.study_instance_uid, asked)
    return list(newest.values())


def _inputs(case: Case, verdict: Verdict, policy: Policy) -> dict[str, object]:
    calls = [call(finding, case.patient, policy.rules) for finding in case.findings if finding.present]
    return {
        "findings": [asdict(finding) for finding in case.findings],
        "calls": [
            {"package": one.finding.package, "label": one.finding.label, "priority": one.priority.value,
             "category": one.category, "rule": one.rule}
            for one in calls
        ],
        "asked_by": asked_by_package(case.findings, case.patient, policy.rules),
        "patient": case.patient,
        "hours": case.hours,
        "alerts": case.alerts,
        "stuck": sorted(case.stuck),
        "silent": sorted(verdict.silent),
        "alerted": case.alerted,
        "off": case.off,
        "policy": policy.model_dump(mode="json"),
    }  # fmt: skip


def _carry_out(
    connection: Connection, analysed: Analysed, verdict: Verdict, inputs: Mapping[str, object], now: float
) -> None:
    """Tell the work items what the verdict lets out, and store all of it."""
    triage = Triage(verdict.given, verdict.told)
    decisions = work_items.raise_priority(connection, analysed.study_instance_uid, triage, now)
    alerted = any(decision.changed and decision.priority is Priority.HIGH for decision in decisions)
    connection.execute(
        insert(DECISION).values(
            study_instance_uid=analysed.study_instance_uid, generation=analysed.generation, at=now,
            asked=verdict.asked.value, given=verdict.given.value if verdict.given else "", category=verdict.category,
            outcome=verdict.outcome.value, waiting=verdict.outcome is Outcome.WAITS, alerted=alerted,
            reason=verdict.reason, inputs=dict(inputs),
        )
    )  # fmt: skip


def _waiting(connection: Connection) -> Sequence[Row[tuple[object, ...]]]:
    return connection.execute(select(DECISION).where(DECISION.c.waiting).order_by(DECISION.c.id)).all()


def _close(connection: Connection, study_instance_uid: str) -> None:
    mine = DECISION.c.study_instance_uid == study_instance_uid
    connection.execute(update(DECISION).where(mine, DECISION.c.waiting).values(waiting=False))


def _tell_administrator(connection: Connection, uid: str, case: Case, verdict: Verdict, policy: Policy) -> None:
    if verdict.outcome is Outcome.WAITS:
        _log.warning("an alert waits: worklist.policy.alerts_an_hour is spent", study=uid, alerts=case.alerts)
    last = connection.execute(select(DECISION.c.inputs).order_by(DECISION.c.id.desc()).limit(1)).scalar()
    before = frozenset(last["stuck"]) if last else frozenset()
    for package in sorted(case.stuck - before):
        _log.error("in shadow mode: the package flags nearly everything", package=package, share=policy.stuck_share)
    for package in sorted(before - case.stuck):
        _log.warning("no longer in shadow mode", package=package)
