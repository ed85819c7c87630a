"""Whose study it is, as the audit trail names a patient: by Patient ID (0010,0020)."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, select

from node.dicom.headers import read_header
from node.errors import UnreadableInstance
from node.ledger.tables import INSTANCE, WORK_ITEM

UNKNOWN, WITHHELD = "unknown", "withheld"
_PATIENT_ID = "00100020"


def patient_id(connection: Connection, data: Path, study_instance_uid: str) -> str:
    """The Patient ID of a study that was received, else of its work item; `UNKNOWN` where neither has it."""
    of_study = INSTANCE.c.study_instance_uid == study_instance_uid
    query = select(INSTANCE.c.path).where(of_study).order_by(INSTANCE.c.id).limit(1)
    path = connection.execute(query).scalar()
    return (_in_file(data / path) if path else "") or _in_work_item(connection, study_instance_uid) or UNKNOWN


def _in_file(path: Path) -> str:
    try:
        return str(read_header(path).get("PatientID") or "").strip()
    except UnreadableInstance:  # the analysis reports it
        return ""


def _in_work_item(connection: Connection, study_instance_uid: str) -> str:
    query = select(WORK_ITEM.c.attributes).where(WORK_ITEM.c.study_instance_uid == study_instance_uid).limit(1)
    values = (connection.execute(query).scalar() or {}).get(_PATIENT_ID, {}).get("Value") or [""]
    return str(values[0] or "").strip()
