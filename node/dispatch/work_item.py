"""The reading work item of a study that is complete."""

from __future__ import annotations

from pathlib import Path

import structlog
from pydicom import Dataset
from sqlalchemy import Connection

from node.dicom.headers import read_attributes
from node.errors import UnreadableInstance
from node.ledger import studies
from node.worklist.items.json_model import to_dataset
from node.worklist.orders import orders
from node.worklist.reading import work_items
from node.worklist.reading.data_set import HEADER_TAGS, PATIENT, Station

_log = structlog.get_logger(__name__)


def write_reading_work_item(
    data: Path, station: Station, connection: Connection, study_instance_uid: str, now: float
) -> None:
    """Write one reading work item for the study, from the header in the ledger and the study's orders.

    Where the images are of several patients it names none.
    """
    header, patients = (
        _header(data, connection, study_instance_uid),
        studies.count_patients(connection, study_instance_uid),
    )
    if patients > 1:
        for keyword in PATIENT:
            header.pop(keyword, None)
    header.StudyInstanceUID = study_instance_uid  # the ledger's, never the file's
    work_items.ensure_item(connection, header, now, station)
    if patients > 1:
        work_items.without_patient(connection, study_instance_uid, patients, now)
    orders.apply(connection, study_instance_uid, now)
    work_items.set_ready(connection, study_instance_uid, now)


def _header(data: Path, connection: Connection, study_instance_uid: str) -> Dataset:
    """What was kept when the study arrived; of studies from before that, of the first instance that can be read."""
    kept = studies.header(connection, study_instance_uid)
    if kept is not None:
        return to_dataset(dict(kept))
    for instance in studies.inputs(connection, study_instance_uid):
        try:
            return read_attributes(data / instance["path"], HEADER_TAGS)
        except UnreadableInstance as error:  # the analysis reports it, too
            names = {"study": study_instance_uid, "instance": instance["sop_instance_uid"]}
            _log.warning("instance unreadable", **names, reason=str(error))
    return Dataset()
