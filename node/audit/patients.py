"""Whose study it is, as the audit trail names a patient: by Patient ID (0010,0020).

A message has one patient (PS3.15 A.5.3.3, A.5.3.6, A.5.3.7). Devices and merges put two under one Study Instance UID:
then there is a message for each of them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select

from node.ledger.tables import INSTANCE, STUDY, WORK_ITEM

UNKNOWN, WITHHELD = "unknown", "withheld"
_PATIENT_ID = "00100020"


def patient_ids(connection: Connection, study_instance_uid: str) -> tuple[str, ...]:
    """The Patient IDs that a study's instances were sent with, the first one's first, else its header's or work item's.

    There is always one: `UNKNOWN` where none has any. They stand in the ledger since the instances arrived: no received
    file is read for a message.
    """
    known = INSTANCE.c.study_instance_uid == study_instance_uid, INSTANCE.c.patient_id != ""
    query = select(INSTANCE.c.patient_id).where(*known).group_by(INSTANCE.c.patient_id)
    sent = connection.execute(query.order_by(func.min(INSTANCE.c.id))).scalars().all()
    if sent:
        return tuple(sent)
    header = select(STUDY.c.header).where(STUDY.c.study_instance_uid == study_instance_uid)
    item = select(WORK_ITEM.c.attributes).where(WORK_ITEM.c.study_instance_uid == study_instance_uid).limit(1)
    found = (patient_id(connection.execute(query).scalar()) for query in (header, item))
    return (next(filter(None, found), UNKNOWN),)


def patient_id(attributes: Any) -> str:
    """Patient ID of a Data Set in the DICOM JSON Model; empty where it has none."""
    element = attributes.get(_PATIENT_ID) if isinstance(attributes, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0] or "").strip() if isinstance(values, list) and values else ""
