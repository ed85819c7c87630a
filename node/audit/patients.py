"""Whose study it is, as the audit trail names a patient: by Patient ID (0010,0020).

A message has one patient (PS3.15 A.5.3.3, A.5.3.6, A.5.3.7). Devices and merges put two under one Study Instance UID:
then there is a message for each of them.
"""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from node.ledger.tables import INSTANCE, WORK_ITEM

UNKNOWN, WITHHELD = "unknown", "withheld"
_PATIENT_ID = "00100020"


def patient_ids(connection: Connection, study_instance_uid: str) -> tuple[str, ...]:
    """The Patient IDs that a study's instances were sent with, the first one's first, else its work item's.

    There is always one: `UNKNOWN` where none has any. They stand in the ledger since the instances arrived: no received
    file is read for a message.
    """
    known = INSTANCE.c.study_instance_uid == study_instance_uid, INSTANCE.c.patient_id != ""
    query = select(INSTANCE.c.patient_id).where(*known).group_by(INSTANCE.c.patient_id)
    sent = connection.execute(query.order_by(func.min(INSTANCE.c.id))).scalars().all()
    return tuple(sent) or (_in_work_item(connection, study_instance_uid) or UNKNOWN,)


def _in_work_item(connection: Connection, study_instance_uid: str) -> str:
    query = select(WORK_ITEM.c.attributes).where(WORK_ITEM.c.study_instance_uid == study_instance_uid).limit(1)
    values = (connection.execute(query).scalar() or {}).get(_PATIENT_ID, {}).get("Value") or [""]
    return str(values[0] or "").strip()
