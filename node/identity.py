"""Who an instance is: its four UIDs, read from the first bytes of a Data Set and validated."""

from __future__ import annotations

import re
import struct
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
_TAGS = {0x0020000D: 0, 0x0020000E: 1, 0x00080018: 2, 0x00080016: 3}  # of the keywords, and their places
_EXPLICIT, _IMPLICIT, _LONG_LENGTH = struct.Struct("<HH2sH"), struct.Struct("<HHL"), struct.Struct("<L")  # PS3.5 7.1
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SV UC UN UR UT UV".split())
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
    uids = dict(
        zip(_KEYWORDS, _plain_uids(dataset, transfer_syntax) or _any_uids(dataset, transfer_syntax), strict=True)
    )
    for keyword, value in uids.items():
        if not is_uid(value):
            raise NotUnderstood(f"{keyword} is {'not a valid UID' if value else 'missing'}")
    key = InstanceKey(*uids.values())
    if (key.sop_class_uid, key.sop_instance_uid) != (sop_class_uid, sop_instance_uid):
        raise Mismatch("the command and the Data Set name different SOP Classes or Instances")
    return key


def _plain_uids(dataset: bytes, transfer_syntax: UID) -> list[str] | None:
    """The UIDs of a plain little endian Data Set, twenty times as fast as pydicom; None where one is unusual."""
    if transfer_syntax == DeflatedExplicitVRLittleEndian or not transfer_syntax.is_little_endian:
        return None
    found, implicit, at = [""] * len(_KEYWORDS), transfer_syntax.is_implicit_VR, 0
    try:
        while True:
            if implicit:
                group, element, length = _IMPLICIT.unpack_from(dataset, at)
                begin = at + 8
            else:
                group, element, vr, length = _EXPLICIT.unpack_from(dataset, at)
                begin = at + 8
                if vr in _LONG_VRS:
                    (length,) = _LONG_LENGTH.unpack_from(dataset, begin)
                    begin += 4
                elif vr not in _SHORT_VRS:
                    return None
            if (tag := group << 16 | element) > _LAST_TAG:
                break
            at = begin + length
            if tag in _TAGS:
                found[_TAGS[tag]] = dataset[begin:at].rstrip(b"\0 ").decode("ascii")
    except (struct.error, UnicodeDecodeError):
        return None
    return found if all(map(is_uid, found)) else None


def _any_uids(dataset: bytes, transfer_syntax: UID) -> list[str]:
    """The UIDs as pydicom reads them, empty where they are missing."""
    head = _read_head(dataset, transfer_syntax)
    return [str(head.get(keyword) or "") for keyword in _KEYWORDS]


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
