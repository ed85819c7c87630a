"""Whether a Data Set can be sent again: as DICOM JSON, and in each transfer syntax of the worklist."""

from __future__ import annotations

import json
from io import BytesIO

import structlog
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from node.dicom.value_representations import EXTENDED_CHARACTERS
from node.worklist.items.json_model import Json, items_of, keyword_of, to_dataset
from node.worklist.items.statuses import Status, UpsRefused

_log = structlog.get_logger(__name__)


def require_sendable(attributes: Json) -> None:
    """Refuse what could be kept but never sent, before it is kept.

    Raises
    ------
    UpsRefused
        0x0106 with the attribute.
    """
    for tag, entry in attributes.items():
        try:
            json.dumps(entry, ensure_ascii=False, allow_nan=False).encode()
            dataset = to_dataset({tag: entry})
            _encoded(dataset, implicit=True)
            _require_same(entry, _encoded(dataset, implicit=False))
        except Exception as error:  # whatever pydicom, struct or a codec met in a value
            raise UpsRefused(Status.INVALID_ATTRIBUTE_VALUE, keyword_of(tag)) from error


def sendable(attributes: Json) -> Dataset | None:
    """The Data Set to send; None where no encoder takes it."""
    try:
        dataset = to_dataset(attributes)
        _encoded(dataset, implicit=True)
    except Exception:  # noqa: BLE001  # as above
        return None
    return dataset


class PassedOver:
    """Work items of the ledger that cannot be sent: each is logged once, and holds the others up nowhere."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def log(self, sop_instance_uid: str) -> None:
        """Its values are not part of the log."""
        if sop_instance_uid not in self._known:
            _log.error("a work item cannot be sent and is passed over", sop_instance_uid=sop_instance_uid)
        self._known.add(sop_instance_uid)


def _encoded(dataset: Dataset, *, implicit: bool) -> bytes:
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = implicit, True
    write_dataset(file, dataset)
    return file.getvalue()


def _require_same(entry: Json, encoded: bytes) -> None:
    """ValueError where it is read as something else: a value too long for its VR (UN), or of characters it has not."""
    if entry["vr"] not in (*EXTENDED_CHARACTERS, "SQ") and not json.dumps(entry, ensure_ascii=False).isascii():
        raise ValueError("characters that the VR has not")
    *_, element = read_dataset(BytesIO(encoded), is_implicit_VR=False, is_little_endian=True)
    if entry["vr"] != element.VR:
        raise ValueError("the value does not fit its VR")
    for item in items_of(entry):
        require_sendable(item)
