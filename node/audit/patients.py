"""Whose study it is, as the audit trail names a patient: by Patient ID (0010,0020)."""

from __future__ import annotations

from sqlalchemy import Connection, select

from node.ledger.tables import INSTANCE, WORK_ITEM

UNKNOWN, WITHHELD = "unknown", "withheld"
_PATIENT_ID = "00100020"


def patient_id(connection: Connection, study_instance_uid: str) -> str:
    """The Patient ID that a study's first instance was sent with, else its work item's; `UNKNOWN` where none has any.

    It stands in the ledger since the instance arrived: no received file is read for a message.
    """
    known = INSTANCE.c.study_instance_uid == study_instance_uid, INSTANCE.c.patient_id != ""
    query = select(INSTANCE.c.patient_id).where(*known).order_by(INSTANCE.c.id).limit(1)
    return connection.execute(query).scalar() or _in_work_item(connection, study_instance_uid) or UNKNOWN


def _in_work_item(connection: Connection, study_instance_uid: str) -> str:
    query = select(WORK_ITEM.c.attributes).where(WORK_ITEM.c.study_instance_uid == study_instance_uid).limit(1)
    values = (connection.execute(query).scalar() or {}).get(_PATIENT_ID, {}).get("Value") or [""]
    return str(values[0] or "").strip()
