"""The identity of an instance: its four UIDs, read from the first bytes of a Data Set and validated."""

from __future__ import annotations

import re
import zlib

from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from node.dicom.elements import elements
from node.entities import InstanceKey
from node.errors import Mismatch, NotUnderstood

_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")  # PS3.5 9.1
_RECEIVED = re.compile(r"[0-9][0-9.]*")  # safe as the name of a file, and as a part of a URL
_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")
_MOST_CHARACTERS = 64  # PS3.5 6.2
_LAST_TAG = 0x0020000E  # Series Instance UID
_TAGS = {  # in InstanceKey's order
    0x0020000D: "StudyInstanceUID",
    0x0020000E: "SeriesInstanceUID",
    0x00080018: "SOPInstanceUID",
    0x00080016: "SOPClassUID",
}
_HEAD_BYTES = 1 << 20  # of a deflated Data Set; a bomb behind it is never inflated here


def is_uid(value: object) -> bool:
    """Whether `value` is a valid UID: components without leading zeros, at most 64 characters (PS3.5 9.1)."""
    return isinstance(value, str) and len(value) <= _MOST_CHARACTERS and _UID.fullmatch(value) is not None


def is_received_uid(value: object) -> bool:
    """Whether a peer's `value` is kept as a UID, as sent: digits and dots; devices write leading zeros."""
    return isinstance(value, str) and len(value) <= _MOST_CHARACTERS and _RECEIVED.fullmatch(value) is not None


def is_ae_title(value: object) -> bool:
    """Whether `value` is an AE title: 1 to 16 characters of ASCII, no backslash, not all spaces (PS3.5 6.2)."""
    return isinstance(value, str) and _AE_TITLE.fullmatch(value) is not None and not value.isspace()


def identify(dataset: bytes, transfer_syntax: UID, sop_class_uid: str, sop_instance_uid: str) -> InstanceKey:
    """Read and validate the identity of the instance of a C-STORE request.

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
    uids = _read_uids(dataset, transfer_syntax)
    for keyword, value in uids.items():
        if not is_received_uid(value):
            raise NotUnderstood(f"{keyword} is {'not a valid UID' if value else 'missing'}")
    key = InstanceKey(*uids.values())
    if (key.sop_class_uid, key.sop_instance_uid) != (sop_class_uid, sop_instance_uid):
        raise Mismatch("the command and the Data Set name different SOP Classes or Instances")
    return key


def _read_uids(dataset: bytes, transfer_syntax: UID) -> dict[str, str]:
    """The UIDs that the bytes begin with; empty where one is not among them."""
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        try:
            dataset = zlib.decompressobj(-zlib.MAX_WBITS).decompress(dataset, _HEAD_BYTES)
        except zlib.error as error:
            raise NotUnderstood("the Data Set cannot be inflated") from error
    found = dict.fromkeys(_TAGS.values(), "")
    for tag, value in elements(dataset, "<" if transfer_syntax.is_little_endian else ">"):
        if tag > _LAST_TAG:
            break
        if tag in _TAGS:
            found[_TAGS[tag]] = value.decode("latin-1").rstrip("\0 ")
    return found
