"""The outbox of worklist sinks: which raised priority goes to which sink, how it fared, when it is tried next.

A notice is not written where a priority is decided but found afterwards, by what the work items say: whoever raises one
(an analysis, a policy) need not know the sinks, and a sink that was down or new finds what it has missed.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, exists, func, insert, not_, or_, select, update

from node.entities import DeliveryState
from node.ledger.engine import note
from node.ledger.outbox import pause_after
from node.ledger.tables import FINDING, NOTICE, STUDY, WORK_ITEM
from node.worklist.items.json_model import items as sequence
from node.worklist.items.json_model import text
from node.worklist.items.priority import Priority, Source
from node.worklist.items.states import State
from node.worklist.orders import orders
from node.worklist.reading.data_set import is_reading
from node.worklist.sinks.facts import FINDING as TOLD
from node.worklist.sinks.facts import Notice
from node.worklist.triage import decisions

OLDEST = 24 * 3600.0  # seconds; a priority that was raised before that is told to nobody any more
_FEW = 20  # notices that are read to claim one
LONGEST_PAUSE = 600.0  # seconds between tries: an urgent study is not told hours after the sink is back


def untold(connection: Connection, sink: str, since: float, least: Priority = Priority.LOW) -> Sequence[str]:
    """Work items that triage raised to at least `least`, changed since then, unclaimed, if the sink was never told."""
    told = exists().where(
        NOTICE.c.work_item_uid == WORK_ITEM.c.sop_instance_uid,
        NOTICE.c.sink == sink,
        NOTICE.c.priority == WORK_ITEM.c.priority,
        NOTICE.c.state != DeliveryState.SUPERSEDED,
    )
    query = select(WORK_ITEM.c.sop_instance_uid).where(WORK_ITEM.c.updated_at >= since, *_raised(least), not_(told))
    return connection.execute(query.order_by(WORK_ITEM.c.updated_at)).scalars().all()


def _raised(least: Priority = Priority.LOW) -> tuple[ColumnElement[bool], ...]:
    urgent = [priority.value for priority in Priority if not least.above(priority)]
    triage = WORK_ITEM.c.priority_source == Source.TRIAGE
    return triage, WORK_ITEM.c.state == State.SCHEDULED, WORK_ITEM.c.priority.in_(urgent)


def put(connection: Connection, sink: str, work_item_uid: str, now: float, least: Priority = Priority.LOW) -> None:
    """Write a notice of the work item's priority; what the sink was to be told of the item before is superseded."""
    query = select(WORK_ITEM).where(WORK_ITEM.c.sop_instance_uid == work_item_uid, *_raised(least))
    row = connection.execute(query).mappings().first()
    if row is None or not is_reading(row["attributes"]):
        return
    waiting = (NOTICE.c.sink == sink, NOTICE.c.work_item_uid == work_item_uid, _is(DeliveryState.PENDING))
    connection.execute(update(NOTICE).where(*waiting).values(state=DeliveryState.SUPERSEDED, lease_until=None))
    notice = describe(connection, row, secrets.token_hex(10), now)
    connection.execute(
        insert(NOTICE).values(
            control_id=notice.control_id, sink=sink, work_item_uid=work_item_uid,
            study_instance_uid=notice.study_instance_uid, priority=notice.priority, reason=notice.reason,
            content=notice.content, decided_at=now, state=DeliveryState.PENDING, attempts=0, next_attempt_at=now,
            last_error="", acknowledgement="",
        )
    )  # fmt: skip


def describe(connection: Connection, row: RowMapping, control_id: str, now: float) -> Notice:
    """The notice that a work item's row makes now; it has no finding of a package in shadow mode."""
    study, attributes = row["study_instance_uid"], row["attributes"]
    requests = sequence(attributes, "ReferencedRequestSequence")
    accession = next(filter(None, (text(request, "AccessionNumber") for request in requests)), "")
    findings = connection.execute(
        select(*(FINDING.c[key] for key in TOLD))
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

    What a person has changed or claimed since is superseded here: the last word is theirs.
    """
    due = (NOTICE.c.sink == sink, _is(DeliveryState.PENDING), NOTICE.c.next_attempt_at <= now, _free(now))
    for row in connection.execute(select(NOTICE).where(*due).order_by(NOTICE.c.id).limit(_FEW)).mappings():
        here = NOTICE.c.id == row["id"]
        item = WORK_ITEM.c.sop_instance_uid == row["work_item_uid"]
        if not connection.execute(select(WORK_ITEM.c.sop_instance_uid).where(item, *_raised())).first():
            connection.execute(update(NOTICE).where(here).values(state=DeliveryState.SUPERSEDED))
            detail = f"{row['priority']} is not told to {sink}: a person has changed or claimed the work item"
            note(connection, row["study_instance_uid"], now, "not told", detail)
            continue
        connection.execute(update(NOTICE).where(here).values(lease_until=now + lease))
        return _notice(row)
    return None


def is_due(connection: Connection, sink: str, now: float) -> bool:
    """Whether `claim` would find something."""
    due = (NOTICE.c.sink == sink, _is(DeliveryState.PENDING), NOTICE.c.next_attempt_at <= now, _free(now))
    return connection.execute(select(NOTICE.c.id).where(*due).limit(1)).first() is not None


def _free(now: float) -> ColumnElement[bool]:
    return or_(NOTICE.c.lease_until.is_(None), NOTICE.c.lease_until < now)


def _is(state: DeliveryState) -> ColumnElement[bool]:
    return NOTICE.c.state == state


def delivered(connection: Connection, sink: str, notice: Notice, acknowledgement: str, now: float) -> None:
    """The receiver has acknowledged it."""
    values = {"state": DeliveryState.DELIVERED, "acknowledgement": acknowledgement, "delivered_at": now}
    _settle(connection, notice, values | {"last_error": ""})
    detail = f"{notice.priority} to {sink}, acknowledged: {acknowledgement}"
    note(connection, notice.study_instance_uid, now, "told", detail)


def rejected(connection: Connection, sink: str, notice: Notice, error: str, now: float) -> None:
    """The receiver refuses it; only `retry` sends it again."""
    _settle(connection, notice, {"state": DeliveryState.REJECTED, "last_error": error})
    detail = f"{notice.priority} to {sink}: {error}; not sent again by itself"
    note(connection, notice.study_instance_uid, now, "rejected", detail)


def postponed(
    connection: Connection, sink: str, notice: Notice, error: str, now: float, *, jitter: float | None = None
) -> float:
    """It was not taken; the seconds until it is tried again."""
    pause = pause_after(notice.attempts + 1, random.random() if jitter is None else jitter, LONGEST_PAUSE)  # noqa: S311
    _settle(connection, notice, {"next_attempt_at": now + pause, "last_error": error})
    if notice.attempts < 3:  # a sink that is down for a day does not fill the study's story
        detail = f"{notice.priority} to {sink}: {error}; tried again in {pause:.0f} s"
        note(connection, notice.study_instance_uid, now, "not told", detail)
    return pause


def _settle(connection: Connection, notice: Notice, values: dict[str, object]) -> None:
    """Also where it was superseded while it was on its way, an acknowledgement is written down."""
    here = NOTICE.c.id == notice.id
    if "state" not in values:
        values["state"] = NOTICE.c.state
    connection.execute(update(NOTICE).where(here).values(attempts=NOTICE.c.attempts + 1, lease_until=None, **values))


def retry(connection: Connection, study_instance_uid: str, now: float) -> int:
    """Make every notice of the study that is not delivered due at once, rejected ones too; returns how many."""
    done = connection.execute(
        update(NOTICE)
        .where(
            NOTICE.c.study_instance_uid == study_instance_uid,
            NOTICE.c.state.in_((DeliveryState.PENDING, DeliveryState.REJECTED)),
        )
        .values(state=DeliveryState.PENDING, next_attempt_at=now, attempts=0)
    )
    if done.rowcount:
        note(connection, study_instance_uid, now, "retry", f"{done.rowcount} notices made due by hand")
    return int(done.rowcount)


def untaken(connection: Connection) -> dict[str, int]:
    """How many notices wait, and how many were rejected."""
    counted = {}
    for state in (DeliveryState.PENDING, DeliveryState.REJECTED):
        query = select(func.count()).select_from(NOTICE).where(_is(state))
        counted[state.value] = connection.execute(query).scalar_one()
    return counted


def of_study(connection: Connection, study_instance_uid: str) -> Sequence[RowMapping]:
    """The study's notices, oldest first, without their content, which names the patient."""
    columns = [column for column in NOTICE.c if column.name != "content"]
    query = select(*columns).where(NOTICE.c.study_instance_uid == study_instance_uid)
    return connection.execute(query.order_by(NOTICE.c.id)).mappings().all()


def _notice(row: RowMapping) -> Notice:
    content: dict[str, Any] = row["content"]
    return Notice(
        row["control_id"], row["work_item_uid"], row["study_instance_uid"], row["priority"], row["reason"],
        row["decided_at"], content, row["id"], row["attempts"],
    )  # fmt: skip
