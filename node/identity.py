"""Who an instance is: its four UIDs, read from the first bytes of a Data Set and validated."""

from __future__ import annotations

import re
import zlib
from io import BytesIO

from pydicom import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from node.entities import InstanceKey
from node.errors import Mismatch, NotUnderstood

_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")  # PS3.5 9.1
_LAST_TAG = 0x0020000E  # Series Instance UID
_KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")  # InstanceKey's order
_HEAD_BYTES = 1 << 20  # of a deflated Data Set; a bomb behind it is never inflated here


def is_uid(value: object) -> bool:
    """Whether `value` is a valid UID: components without leading zeros, at most 64 characters (PS3.5 9.1)."""
    return isinstance(value, str) and len(value) <= 64 and _UID.fullmatch(value) is not None


def identify(dataset: bytes, transfer_syntax: UID, sop_class_uid: str, sop_instance_uid: str) -> InstanceKey:
    """Read and validate the identity of an instance that a C-STORE request brought.

    Parameters
    ----------
    dataset
        The Data Set's bytes, encoded with `transfer_syntax`.
    sop_class_uid, sop_instance_uid
        Affected SOP Class and Instance UID of the command.

    Raises
    ------
    NotUnderstood
        The Data Set cannot be read, or a UID is missing or not a UID (0xC000).
    Mismatch
        The command names another class or instance than the Data Set (0xA900).
    """
    head = _read_head(dataset, transfer_syntax)
    uids = {keyword: str(head.get(keyword) or "") for keyword in _KEYWORDS}
    for keyword, value in uids.items():
        if not is_uid(value):
            raise NotUnderstood(f"{keyword} is {'not a valid UID' if value else 'missing'}")
    key = InstanceKey(*uids.values())
    if (key.sop_class_uid, key.sop_instance_uid) != (sop_class_uid, sop_instance_uid):
        raise Mismatch("the command and the Data Set name different SOP Classes or Instances")
    return key


def _read_head(dataset: bytes, transfer_syntax: UID) -> Dataset:
    try:
        if transfer_syntax == DeflatedExplicitVRLittleEndian:
            dataset = zlib.decompressobj(-zlib.MAX_WBITS).decompress(dataset, _HEAD_BYTES)
        return read_dataset(
            BytesIO(dataset),
            is_implicit_VR=transfer_syntax.is_implicit_VR,
            is_little_endian=transfer_syntax.is_little_endian,
            stop_when=lambda tag, _vr, _length: tag > _LAST_TAG,
            specific_tags=[Tag(keyword) for keyword in _KEYWORDS],
        )
    except Exception as error:  # pydicom raises whatever it met in the bytes; all of it means the same here
        raise NotUnderstood(f"the Data Set cannot be read ({type(error).__name__})") from error
