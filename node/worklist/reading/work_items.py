"""Reading work items in the ledger: created when a study is complete, raised by triage, listed for people.

Every function works inside the caller's transaction and may run twice. No text given here may hold a patient attribute
but the header's: reasons end in the log and in the study's story.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from pydicom import Dataset
from sqlalchemy import Connection, func, select

from node.ledger.engine import note
from node.ledger.tables import INSTANCE, RESULT, STUDY, WORK_ITEM
from node.sending.deliveries import DELIVERY
from node.settings import Policy
from node.worklist.events.writing import add, save
from node.worklist.items.json_model import Json, accession_number, has_value, put, text
from node.worklist.items.priority import BEFORE_ANALYSIS, PriorityDecision, RequestedPriority, Source, decide
from node.worklist.items.rows import Item, load, of_study, read, reading_order, with_attributes
from node.worklist.items.states import FINAL, State
from node.worklist.reading.data_set import (
    PATIENT,
    Reference,
    Station,
    input_information,
    is_reading,
    reading_attributes,
    reading_uid,
    remark,
)

_BEFORE = "before analysis"
_HERE = Station()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the worklist, as `readfirst worklist` shows it. It names the patient: for the screen, not a log."""

    sop_instance_uid: str
    study_instance_uid: str
    state: str
    priority: str
    source: str  # default, triage or human
    reason: str
    patient_name: str
    patient_id: str
    accession_number: str
    label: str
    ready: bool  # False: more images may be received
    created_at: float  # seconds since 1970 UTC


def ensure_item(connection: Connection, header: Dataset, now: float, station: Station = _HERE) -> str:
    """SOP Instance UID of the study's reading work item, which is made if there is none yet.

    A reading item that a peer pushed for the same study (Scheduled Workitem Code 110005) is that item, as long as it
    is not final: the hospital's own order is not doubled.

    Parameters
    ----------
    header
        Any instance of the study, whose Study Instance UID is valid; the patient and the request are taken from it.
    """
    study_instance_uid = str(header.StudyInstanceUID)
    uid = reading_uid(study_instance_uid)
    query = select(WORK_ITEM.c.sop_instance_uid).where(WORK_ITEM.c.sop_instance_uid == uid)
    if connection.execute(query).first():
        return uid
    for item in of_study(connection, study_instance_uid):
        if is_reading(item.attributes) and item.state not in FINAL:
            return item.sop_instance_uid
    attributes = reading_attributes(study_instance_uid, header, station, now)
    made = Item(
        uid, study_instance_uid, State.SCHEDULED, BEFORE_ANALYSIS, Source.DEFAULT, _BEFORE, None, "", attributes, now
    )
    add(connection, made)
    note(connection, study_instance_uid, now, "worklist", f"reading work item {uid} made, {BEFORE_ANALYSIS}")
    return uid


def without_patient(connection: Connection, study_instance_uid: str, patients: int, now: float) -> None:
    """The study holds images of several patients: its unclaimed reading item that we made names none of them.

    No name stands for another patient's images; the label says why there is none. Whose the study is people clear up
    in the PACS, and the results carry the identity of their images.
    """
    item = load(connection, reading_uid(study_instance_uid))
    label = text(item.attributes, "ProcedureStepLabel") if item else ""
    addition = f", {patients} patients"
    if item is None or label.endswith(addition):
        return
    if item.state is State.SCHEDULED:
        values = {keyword: list[str]() for keyword in PATIENT} | {"ProcedureStepLabel": [_label_with(label, addition)]}
        save(connection, with_attributes(item, **values), now)
    what = "names none of them" if item.state is State.SCHEDULED else f"is left as it is, it is {item.state}"
    note(connection, study_instance_uid, now, "patients differ", f"images of {patients} patients: the work item {what}")


def _label_with(label: str, addition: str) -> str:
    """LO, 64 characters (PS3.5 6.2); an addition of before is replaced."""
    return re.sub(r", [0-9]+ patients$", "", label)[: 64 - len(addition)] + addition


def set_ready(connection: Connection, study_instance_uid: str, now: float, *, ready: bool = True) -> None:
    """Input Readiness State of the study's unclaimed reading items: READY, or INCOMPLETE while images are received."""
    wanted = "READY" if ready else "INCOMPLETE"
    for item in _readings(connection, study_instance_uid):
        if item.state is State.SCHEDULED and text(item.attributes, "InputReadinessState") != wanted:
            save(connection, with_attributes(item, InputReadinessState=[wanted]), now)


def raise_priority(
    connection: Connection, study_instance_uid: str, triage: RequestedPriority, now: float
) -> tuple[PriorityDecision, ...]:
    """Raise the study's reading items to what triage requests; the decision for each that is not yet claimed.

    The reason becomes our line in Comments on the Scheduled Procedure Step. A claimed item belongs to its reader: it is
    not touched, which is noted in the study's story.
    """
    decisions = []
    for item in _readings(connection, study_instance_uid):
        if item.state is not State.SCHEDULED:
            detail = f"{item.priority} left as it is, the work item is {item.state}: {triage.reason}"
            note(connection, study_instance_uid, now, "priority", detail)
            continue
        decision = decide(item.priority, item.source, triage, item.triage_priority)
        comments = remark(text(item.attributes, "CommentsOnTheScheduledProcedureStep"), decision.reason)
        changed = replace(
            with_attributes(item, CommentsOnTheScheduledProcedureStep=[comments]),
            priority=decision.priority, source=decision.source, triage_priority=decision.triage_priority,
            reason=decision.reason,
        )  # fmt: skip
        if changed != item:
            save(connection, changed, now)
            note(connection, study_instance_uid, now, "priority", decision.reason)
        decisions.append(decision)
    return tuple(decisions)


def set_reason(connection: Connection, study_instance_uid: str, sentence: str, now: float) -> None:
    """Explain to the reader why there is no analysis ("not analysed, because …"); the priority stays where it was."""
    raise_priority(connection, study_instance_uid, RequestedPriority(None, sentence), now)


def listing(
    connection: Connection, *, final: bool = False, limit: int | None = None, policy: Policy | None = None,
    now: float = 0.0,
) -> tuple[Row, ...]:  # fmt: skip
    """The worklist, most urgent first: priority, then age; with `policy`, and where it is worked off, aged by it.

    Completed and canceled items are there only with `final`.
    """
    query = select(WORK_ITEM).order_by(*reading_order(connection, policy, now)).limit(limit)
    if not final:
        query = query.where(WORK_ITEM.c.state.not_in(FINAL))
    return tuple(as_row(read(row)) for row in connection.execute(query).mappings())


def as_row(item: Item) -> Row:
    """A work item as a line of the worklist."""
    return Row(
        sop_instance_uid=item.sop_instance_uid,
        study_instance_uid=item.study_instance_uid,
        state=item.state.value,
        priority=item.priority.value,
        source=item.source.value,
        reason=item.reason,
        patient_name=text(item.attributes, "PatientName"),
        patient_id=text(item.attributes, "PatientID"),
        accession_number=accession_number(item.attributes),
        label=text(item.attributes, "ProcedureStepLabel"),
        ready=text(item.attributes, "InputReadinessState") == "READY",
        created_at=item.created_at,
    )


def as_json(row: Row) -> dict[str, object]:
    """The row for `--json`; the time is ISO 8601, UTC."""
    return asdict(row) | {"created_at": datetime.fromtimestamp(row.created_at, UTC).isoformat()}


def as_line(row: Row) -> tuple[str, str, str, str, str, str]:
    """The row as cells: priority, state, patient, study, since (UTC), why."""
    since = datetime.fromtimestamp(row.created_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    patient = f"{row.patient_name} ({row.patient_id})" if row.patient_id else row.patient_name
    return row.priority, row.state, patient, row.study_instance_uid, since, row.reason


def with_input(connection: Connection, study_instance_uid: str, attributes: Json, station: Station) -> Json:
    """The Data Set with its Input Information Sequence (0040,4021).

    Where none was set, it is made of what the ledger has now: the study's images, and the results of the newest
    delivered generation that a peer has confirmed. Our results are input to the reading, not its output.
    """
    if not study_instance_uid or not is_reading(attributes) or has_value(attributes, "InputInformationSequence"):
        return attributes
    references = [*_images(connection, study_instance_uid), *_results(connection, study_instance_uid)]
    origin = select(STUDY.c.calling_ae_title).where(STUDY.c.study_instance_uid == study_instance_uid)
    where = station.retrieve_ae_title or connection.execute(origin).scalar() or ""
    whole = dict(attributes)
    put(whole, "InputInformationSequence", *input_information(references, where))
    return dict(sorted(whole.items()))


def _images(connection: Connection, study_instance_uid: str) -> list[Reference]:
    columns = (INSTANCE.c.study_instance_uid, INSTANCE.c.series_instance_uid)
    query = (
        select(*columns, INSTANCE.c.sop_class_uid, INSTANCE.c.sop_instance_uid)
        .where(INSTANCE.c.study_instance_uid == study_instance_uid, INSTANCE.c.conflict.is_(False))
        .where(INSTANCE.c.sop_instance_uid.not_in(select(RESULT.c.sop_instance_uid)))
        .order_by(INSTANCE.c.series_instance_uid, INSTANCE.c.id)
    )
    return [Reference(*row) for row in connection.execute(query)]


def _results(connection: Connection, study_instance_uid: str) -> list[Reference]:
    of_study = DELIVERY.c.study_instance_uid == study_instance_uid
    delivered = select(DELIVERY.c.sop_instance_uid).where(of_study, DELIVERY.c.delivered_at.is_not(None))
    there = (RESULT.c.study_instance_uid == study_instance_uid, RESULT.c.sop_instance_uid.in_(delivered))
    newest = select(func.max(RESULT.c.generation)).where(*there).scalar_subquery()
    columns = (RESULT.c.study_instance_uid, RESULT.c.series_instance_uid)
    query = (
        select(*columns, RESULT.c.sop_class_uid, RESULT.c.sop_instance_uid)
        .where(*there, RESULT.c.generation == newest)
        .order_by(RESULT.c.series_instance_uid, RESULT.c.sop_instance_uid)
    )
    return [Reference(*row) for row in connection.execute(query)]


def _readings(connection: Connection, study_instance_uid: str) -> tuple[Item, ...]:
    return tuple(item for item in of_study(connection, study_instance_uid) if is_reading(item.attributes))
