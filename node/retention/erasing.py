"""Deletion that a person asks for: of a study's files, or of all that is known of a patient."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import redis
from sqlalchemy import ColumnElement, Connection, RowMapping, case, delete, func, or_, select

from node.audit import Recorder
from node.audit.patients import patient_ids
from node.dispatch.embedded_redis import socket_of
from node.entities import FINISHED, JobKind, JobState, Part
from node.errors import ReadFirstError
from node.ledger import deletion, jobs
from node.ledger.engine import Ledger
from node.ledger.tables import IMAGING_ORDER, INSTANCE, JOB, STUDY, SUBSCRIPTION, WORK_ITEM
from node.reports.store import ReportStore
from node.retention.deleting import FOLDERS, Deleter
from node.retention.due import is_undelivered
from node.worklist.items.json_model import accession_number

FILES, ALL = (Part.IMAGES, Part.RESULTS, Part.PICTURES, Part.QUARANTINE), tuple(Part)
_PATIENT_ID = ("00100020", "Value", 0)


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is of one study."""

    study_instance_uid: str
    images: int
    size: int  # bytes of all files, by the disk
    results: int
    pictures: int
    quarantined: int
    patients: int  # Patient IDs that its images were sent with


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks: the user at this machine, and by which command."""

    user: str
    command: str


def of_patient(connection: Connection, patient_id: str) -> list[str]:
    """Study Instance UIDs of the studies that were sent with this Patient ID, or whose work item names it."""
    queries = (
        select(INSTANCE.c.study_instance_uid).where(INSTANCE.c.patient_id == patient_id),
        select(STUDY.c.study_instance_uid).where(STUDY.c.header[_PATIENT_ID].as_string() == patient_id),
        select(STUDY.c.study_instance_uid).join(WORK_ITEM, WORK_ITEM.c.study_instance_uid == STUDY.c.study_instance_uid)
        .where(_names(patient_id)),
    )  # fmt: skip
    return sorted({uid for query in queries for uid in connection.execute(query.distinct()).scalars()})


def inventory(connection: Connection, data: Path, study_instance_uid: str) -> Inventory:
    """Count what there is of a study."""
    of = INSTANCE.c.study_instance_uid == study_instance_uid
    known = INSTANCE.c.patient_id.distinct()
    images = connection.execute(select(func.count()).select_from(INSTANCE).where(of)).scalar_one()
    patients = connection.execute(select(func.count(known)).where(of, INSTANCE.c.patient_id != "")).scalar_one()
    files = {part: _files(data / FOLDERS[part] / study_instance_uid) for part in FILES}
    size = sum(path.stat().st_size for paths in files.values() for path in paths)
    results, pictures, quarantined = (len(files[part]) for part in FILES[1:])
    return Inventory(study_instance_uid, images, size, results, pictures, quarantined, patients)


def obstacles(connection: Connection, study_instance_uids: Collection[str], *, undelivered: bool) -> Iterator[str]:
    """Why these studies may not be deleted now, and what to do; a sentence each.

    Parameters
    ----------
    undelivered
        Whether a person takes it that results are never sent which still wait.
    """
    waits = case((is_undelivered(), True), else_=False).label("waits")
    query = select(STUDY.c.study_instance_uid, STUDY.c.state, STUDY.c.pinned, waits)
    for uid in study_instance_uids:
        row = connection.execute(query.where(STUDY.c.study_instance_uid == uid)).mappings().first()
        if row is None:
            yield f"no study {uid} is known; `readfirst status` lists them"
        elif row["state"] not in FINISHED:
            yield f"study {uid} is {row['state']}: wait until it is finished (`readfirst study {uid}`), then try again"
        elif row["pinned"]:
            yield f"study {uid} is pinned: `readfirst unpin {uid}` first"
        elif row["waits"] and not undelivered:
            yield (
                f"results of study {uid} wait for their receiver: `readfirst retry {uid}` sends them now; with "
                "--undelivered they are deleted and never sent"
            )


class Eraser:
    """Deletes studies at once, and what is left of a patient."""

    def __init__(self, ledger: Ledger, data: Path, audit: Recorder, person: Person, now: float) -> None:
        self._ledger, self._data, self._audit, self._person, self._now = ledger, data, audit, person, now
        self._deleter = Deleter(ledger, data, audit)

    def delete(self, study_instance_uids: Sequence[str], parts: Sequence[Part], *, undelivered: bool) -> None:
        """Delete these parts of the studies; all are marked first, so that the node ends it if this process cannot.

        Raises
        ------
        ReadFirstError
            One of them may not be deleted; then none is touched.
        """
        for uid in study_instance_uids:
            self._finish(uid)  # what retention has begun
        with self._ledger.write() as connection:
            if found := list(obstacles(connection, study_instance_uids, undelivered=undelivered)):
                raise ReadFirstError("; ".join(found))
            for uid in study_instance_uids:
                self._mark(connection, uid, parts)
        for uid in study_instance_uids:
            self._finish(uid)

    def _mark(self, connection: Connection, uid: str, parts: Sequence[Part]) -> None:
        by = f"{self._person.command} ({self._person.user})"
        if Part.RESULTS in parts:
            waiting = JOB.c.state.in_((JobState.PENDING, JobState.STORED, JobState.STANDBY))
            of_study = (jobs.of(JobKind.DELIVERY), JOB.c.study_instance_uid == uid)
            jobs.change(connection, *of_study, waiting, state=JobState.SUPERSEDED, lease_until=None)
        patients = patient_ids(connection, uid)
        deletion.begin(connection, uid, parts, by, "asked for", self._now, patients, person=self._person.user)

    def _finish(self, study_instance_uid: str) -> None:
        while self._deleter.step(study_instance_uid):
            pass

    def forget_others(self, patient_id: str, studies: Collection[str]) -> int:
        """Delete work items, their event reports, subscriptions and orders; how many work items and orders.

        Parameters
        ----------
        studies
            Study Instance UIDs of the patient, whose rows may be gone already.
        """
        with self._ledger.write() as connection:
            items = connection.execute(select(WORK_ITEM).where(_is_theirs(patient_id, studies))).mappings().all()
            orders = _orders(connection, items, studies)
            uids = [row["sop_instance_uid"] for row in items]
            for row in items:
                if row["study_instance_uid"] not in studies:
                    why = f"work item deleted by {self._person.command} ({self._person.user})"
                    uid = row["study_instance_uid"]
                    self._audit.deleted(connection, uid, {}, (patient_id,), self._person.user, why, whole=True)
            connection.execute(delete(SUBSCRIPTION).where(SUBSCRIPTION.c.sop_instance_uid.in_(uids)))
            connection.execute(delete(WORK_ITEM).where(WORK_ITEM.c.sop_instance_uid.in_(uids)))
            jobs.remove(connection, JOB.c.reference.in_(uids), JOB.c.kind != JobKind.AUDIT_MESSAGE)
            connection.execute(delete(IMAGING_ORDER).where(IMAGING_ORDER.c.id.in_(orders)))
        return len(items) + len(orders)


def accession_numbers(connection: Connection, patient_id: str, studies: Collection[str]) -> frozenset[str]:
    """Of the patient's studies and work items."""
    headers = select(STUDY.c.header).where(STUDY.c.study_instance_uid.in_(studies))
    items = select(WORK_ITEM.c.attributes).where(_is_theirs(patient_id, studies))
    found = [*connection.execute(headers).scalars(), *connection.execute(items).scalars()]
    return frozenset(filter(None, (accession_number(one) for one in found if isinstance(one, dict))))


def reports_of(
    store: ReportStore, patient_id: str, accessions: Collection[str], studies: Collection[str]
) -> list[Path]:
    """Files of received reports that name the patient."""
    return [
        path
        for path, one in store.files()
        if patient_id in one.numbers or one.accession_number in accessions or one.study_instance_uid in studies
    ]


def compact_queue(data: Path) -> None:
    """Let the embedded Redis, where it runs, write its file anew without the messages that were taken."""
    socket = socket_of(data / "redis")
    if socket is None:
        return
    try:
        with closing(redis.Redis(unix_socket_path=str(socket))) as client:
            client.bgrewriteaof()
    except redis.RedisError:  # it does not run: it begins with an empty file
        return


def _names(patient_id: str) -> ColumnElement[bool]:
    named: ColumnElement[bool] = WORK_ITEM.c.attributes[_PATIENT_ID].as_string() == patient_id
    return named


def _is_theirs(patient_id: str, studies: Collection[str]) -> ColumnElement[bool]:
    return or_(_names(patient_id), WORK_ITEM.c.study_instance_uid.in_(studies))


def _orders(connection: Connection, items: Sequence[RowMapping], studies: Collection[str]) -> list[int]:
    accessions = {accession_number(row["attributes"]) for row in items if isinstance(row["attributes"], dict)} - {""}
    same = or_(IMAGING_ORDER.c.study_instance_uid.in_(studies), IMAGING_ORDER.c.accession_number.in_(accessions))
    return list(connection.execute(select(IMAGING_ORDER.c.id).where(same)).scalars())


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
