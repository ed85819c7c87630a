"""Notices: jobs that notify a worklist sink of a raised priority. Lane: the sink; reference: the control ID.

A notice is not put where a priority is decided but found afterwards, by the work items: whoever raises one
(an analysis, a policy) need not know the sinks, and a sink that was down or new finds what it has missed. One that the
sink has acknowledged keeps its row, for it is shown and never sent again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, exists, not_, select

from node.entities import JobKind, JobState
from node.ledger import jobs
from node.ledger.engine import note
from node.ledger.jobs import NewJob
from node.ledger.tables import FINDING, JOB, STUDY, WORK_ITEM
from node.worklist.items.json_model import items as sequence
from node.worklist.items.json_model import text
from node.worklist.items.priority import Priority, Source
from node.worklist.items.states import State
from node.worklist.orders import orders
from node.worklist.reading.data_set import is_reading
from node.worklist.sinks.facts import FINDING as FINDING_KEYS
from node.worklist.sinks.facts import Notice
from node.worklist.triage import decisions

OLDEST = 24 * 3600.0  # seconds; a priority that was raised before that is sent to nobody any more
_FEW = 20  # notices that are read to claim one
LONGEST_PAUSE = 600.0  # seconds between tries: an urgent study does not wait for hours after the sink is back

NOTICE = (  # the notices, to read: without their content, which names the patient
    select(
        JOB.c.id, JOB.c.reference.label("control_id"), JOB.c.lane.label("sink"), JOB.c.study_instance_uid, JOB.c.state,
        *(JOB.c.payload[name].as_string().label(name) for name in ("priority", "reason", "acknowledgement")),
        JOB.c.payload["decided_at"].as_float().label("decided_at"), JOB.c.attempts,
        JOB.c.due_at.label("next_attempt_at"), JOB.c.last_error, JOB.c.done_at.label("delivered_at"),
    )
    .where(JOB.c.kind == JobKind.NOTICE)
    .subquery("notice")
)  # fmt: skip


def unsent(connection: Connection, sink: str, since: float, least: Priority = Priority.LOW) -> Sequence[str]:
    """Work items that triage raised to at least `least`, changed since then, unclaimed, of which the sink has none."""
    key = WORK_ITEM.c.sop_instance_uid + "/" + WORK_ITEM.c.priority
    known = exists().where(jobs.of(JobKind.NOTICE, sink), JOB.c.key == key, JOB.c.state != JobState.SUPERSEDED)
    query = select(WORK_ITEM.c.sop_instance_uid).where(WORK_ITEM.c.updated_at >= since, *_raised(least), not_(known))
    return connection.execute(query.order_by(WORK_ITEM.c.updated_at)).scalars().all()


def _raised(least: Priority = Priority.LOW) -> tuple[ColumnElement[bool], ...]:
    urgent = [priority.value for priority in Priority if not least.above(priority)]
    triage = WORK_ITEM.c.priority_source == Source.TRIAGE
    return triage, WORK_ITEM.c.state == State.SCHEDULED, WORK_ITEM.c.priority.in_(urgent)


def put(connection: Connection, sink: str, work_item_uid: str, now: float, least: Priority = Priority.LOW) -> None:
    """Put a notice of the work item's priority; one of another priority that still waits is superseded."""
    query = select(WORK_ITEM).where(WORK_ITEM.c.sop_instance_uid == work_item_uid, *_raised(least))
    row = connection.execute(query).mappings().first()
    if row is None or not is_reading(row["attributes"]):
        return
    keys = {priority: f"{work_item_uid}/{priority}" for priority in Priority}
    of_item = and_(jobs.of(JobKind.NOTICE, sink), JOB.c.key.in_(keys.values()))
    key = keys[Priority(row["priority"])]
    if jobs.exists(connection, of_item, JOB.c.key == key, JOB.c.state != JobState.SUPERSEDED):
        return  # another node was faster
    jobs.change(connection, of_item, JOB.c.state == JobState.PENDING, state=JobState.SUPERSEDED, lease_until=None)
    jobs.change(connection, of_item, JOB.c.key == key, key=None)
    notice = describe(connection, row, secrets.token_hex(10), now)
    study, payload = notice.study_instance_uid, _payload(notice)
    jobs.put(connection, NewJob(JobKind.NOTICE, sink, key, study, payload, notice.control_id), now)


def _payload(notice: Notice, acknowledgement: str = "") -> dict[str, object]:
    return {
        "work_item_uid": notice.work_item_uid, "priority": notice.priority, "reason": notice.reason,
        "decided_at": notice.decided_at, "content": notice.content, "acknowledgement": acknowledgement,
    }  # fmt: skip


def describe(connection: Connection, row: RowMapping, control_id: str, now: float) -> Notice:
    """The notice that a work item's row makes now; it has no finding of a package in shadow mode."""
    study, attributes = row["study_instance_uid"], row["attributes"]
    requests = sequence(attributes, "ReferencedRequestSequence")
    accession = next(filter(None, (text(request, "AccessionNumber") for request in requests)), "")
    findings = connection.execute(
        select(*(FINDING.c[key] for key in FINDING_KEYS))
        .join(STUDY, and_(STUDY.c.study_instance_uid == FINDING.c.study_instance_uid))
        .where(FINDING.c.study_instance_uid == study, FINDING.c.generation == STUDY.c.generation)
        .where(FINDING.c.package.not_in(decisions.silent_packages(connection, study)))
        .order_by(FINDING.c.id)
    )
    content = {
        "attributes": attributes,
        "findings": [dict(finding) for finding in findings.mappings()],
        "order": orders.numbers(connection, study, accession),
    }
    reason = row["priority_reason"]
    return Notice(control_id, row["sop_instance_uid"], study, row["priority"], reason, now, content)


def claim(connection: Connection, sink: str, now: float, lease: float) -> Notice | None:
    """Take the oldest notice that is due, for `lease` seconds; None where there is none.

    What a person has changed or claimed since is superseded here: a person's decision counts.
    """
    for row in jobs.find(connection, jobs.due(JobKind.NOTICE, now, sink), limit=_FEW):
        item = WORK_ITEM.c.sop_instance_uid == row["payload"]["work_item_uid"]
        if connection.execute(select(WORK_ITEM.c.sop_instance_uid).where(item, *_raised())).first():
            jobs.hold(connection, [row["id"]], now + lease)
            return _notice(row)
        jobs.change(connection, JOB.c.id == row["id"], state=JobState.SUPERSEDED)
        priority = row["payload"]["priority"]
        detail = f"{priority} is not sent to {sink}: a person has changed or claimed the work item"
        note(connection, row["study_instance_uid"], now, "not notified", detail)
    return None


def is_due(connection: Connection, sink: str, now: float) -> bool:
    """Whether `claim` would find something."""
    return jobs.exists(connection, jobs.due(JobKind.NOTICE, now, sink))


def delivered(connection: Connection, sink: str, notice: Notice, acknowledgement: str, now: float) -> None:
    """The receiver has acknowledged it, also where it was superseded while it was on its way."""
    values = {"state": JobState.DELIVERED, "payload": _payload(notice, acknowledgement), "done_at": now}
    jobs.finish(connection, notice.id, last_error="", **values)
    detail = f"{notice.priority} to {sink}, acknowledged: {acknowledgement}"
    note(connection, notice.study_instance_uid, now, "notified", detail)


def rejected(connection: Connection, sink: str, notice: Notice, error: str, now: float) -> None:
    """The receiver refuses it; only `retry` sends it again."""
    jobs.finish(connection, notice.id, state=JobState.REJECTED, last_error=error)
    detail = f"{notice.priority} to {sink}: {error}; not sent again by itself"
    note(connection, notice.study_instance_uid, now, "rejected", detail)


def postponed(
    connection: Connection, sink: str, notice: Notice, error: str, now: float, *, jitter: float | None = None
) -> float:
    """It was not taken; the seconds until it is tried again."""
    pause = jobs.postpone(connection, notice.id, notice.attempts, error, now, longest=LONGEST_PAUSE, jitter=jitter)
    if notice.attempts < 3:  # a sink that is down for a day does not fill the study's story
        detail = f"{notice.priority} to {sink}: {error}; tried again in {pause:.0f} s"
        note(connection, notice.study_instance_uid, now, "not notified", detail)
    return pause


def open_counts(connection: Connection) -> dict[str, int]:
    """How many notices wait, and how many were rejected."""
    states = (JobState.PENDING, JobState.REJECTED)
    found = jobs.count_by(connection, JOB.c.state, jobs.of(JobKind.NOTICE, None, *states))
    return {state.value: found.get(state, 0) for state in states}


def of_study(connection: Connection, study_instance_uid: str) -> Sequence[RowMapping]:
    """The study's notices, oldest first."""
    query = select(NOTICE).where(NOTICE.c.study_instance_uid == study_instance_uid)
    return connection.execute(query.order_by(NOTICE.c.id)).mappings().all()


def _notice(row: RowMapping) -> Notice:
    payload = row["payload"]
    return Notice(
        row["reference"], payload["work_item_uid"], row["study_instance_uid"], payload["priority"], payload["reason"],
        payload["decided_at"], payload["content"], row["id"], row["attempts"],
    )  # fmt: skip
