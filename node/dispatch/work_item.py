"""The reading work item of a study that is complete."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from pydicom import Dataset
from sqlalchemy import Connection, RowMapping

from node.dicom.headers import read_header
from node.errors import UnreadableInstance
from node.ledger import studies
from node.ledger.engine import Ledger
from node.settings import Settings
from node.worklist.orders import orders
from node.worklist.reading import work_items
from node.worklist.reading.data_set import Station

_log = structlog.get_logger(__name__)


def reading_work_item(
    settings: Settings, ledger: Ledger, station: Station, study: RowMapping
) -> Callable[[Connection], None]:
    """Writes one reading work item for the study, from the first header that can be read and its orders."""
    uid, now = study["study_instance_uid"], time.time()
    header = _header(settings, ledger, uid)

    def write(connection: Connection) -> None:
        work_items.ensure_item(connection, header, now, station)
        orders.apply(connection, uid, now)
        work_items.set_ready(connection, uid, now)

    return write


def _header(settings: Settings, ledger: Ledger, study_instance_uid: str) -> Dataset:
    """Of the first instance that can be read; the Study Instance UID alone where none can."""
    with ledger.read() as connection:
        instances = studies.inputs(connection, study_instance_uid)
    for instance in instances:
        try:
            return read_header(settings.node.data / instance["path"])
        except UnreadableInstance as error:  # the analysis reports it, too
            _log.warning(
                "instance unreadable", study=study_instance_uid, instance=instance["sop_instance_uid"],
                reason=str(error),
            )  # fmt: skip
    header = Dataset()
    header.StudyInstanceUID = study_instance_uid
    return header
