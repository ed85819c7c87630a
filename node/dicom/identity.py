"""The identity of an instance: its four UIDs, validated, and its Patient ID, read from a Data Set's first bytes."""

from __future__ import annotations

import re
import zlib

from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from node.dicom.character_sets import declared_in, decoded
from node.dicom.elements import PIXELS, UNDEFINED, Source, headers
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
_PATIENT_ID, _CHARACTER_SET = 0x00100020, 0x00080005
_NEEDED = frozenset({*_TAGS, _PATIENT_ID})
_WANTED = _NEEDED | {_CHARACTER_SET}
_MOST_OF_ID = 256  # characters of a Patient ID, which has 64 (PS3.5 6.2)
_LONGEST = 1 << 10  # bytes of a value that are looked at
_HEAD_BYTES = (
    1 << 20
)  # of a value of undefined length, or of a deflated Data Set; a bomb behind it is never inflated here


def is_uid(value: object) -> bool:
    """Whether `value` is a valid UID: components without leading zeros, at most 64 characters (PS3.5 9.1)."""
    return isinstance(value, str) and len(value) <= _MOST_CHARACTERS and _UID.fullmatch(value) is not None


def is_received_uid(value: object) -> bool:
    """Whether a peer's `value` is kept as a UID, as sent: digits and dots; devices write leading zeros."""
    return isinstance(value, str) and len(value) <= _MOST_CHARACTERS and _RECEIVED.fullmatch(value) is not None


def is_ae_title(value: object) -> bool:
    """Whether `value` is an AE title: 1 to 16 characters of ASCII, no backslash, not all spaces (PS3.5 6.2)."""
    return isinstance(value, str) and _AE_TITLE.fullmatch(value) is not None and not value.isspace()


def identify(dataset: Source, transfer_syntax: UID, sop_class_uid: str, sop_instance_uid: str) -> InstanceKey:
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
    values = _read_values(dataset, transfer_syntax)
    uids = [values.get(tag, b"").decode("latin-1").rstrip("\0 ") for tag in _TAGS]
    for keyword, value in zip(_TAGS.values(), uids, strict=True):
        if not is_received_uid(value):
            raise NotUnderstood(f"{keyword} is {'not a valid UID' if value else 'missing'}")
    study, series, instance, sop_class = uids
    patient_id = _text(values.get(_PATIENT_ID, b""), values.get(_CHARACTER_SET, b""))
    key = InstanceKey(study, series, instance, sop_class, patient_id)
    if (key.sop_class_uid, key.sop_instance_uid) != (sop_class_uid, sop_instance_uid):
        raise Mismatch("the command and the Data Set name different SOP Classes or Instances")
    return key


def _read_values(dataset: Source, transfer_syntax: UID) -> dict[int, bytes]:
    """The values by which an instance is known, as far as the Data Set can be walked.

    Where one is missing at its place the walk goes on to the pixels, as far as `_HEAD_BYTES`: devices write elements
    out of their order.
    """
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        try:
            dataset = zlib.decompressobj(-zlib.MAX_WBITS).decompress(dataset[0:_HEAD_BYTES], _HEAD_BYTES)
        except zlib.error as error:
            raise NotUnderstood("the Data Set cannot be inflated") from error
    found: dict[int, bytes] = {}
    order = "<" if transfer_syntax.is_little_endian else ">"
    for tag, _, length, at in headers(dataset, order, longest=_HEAD_BYTES):
        if tag > _LAST_TAG and (found.keys() >= _NEEDED or tag in PIXELS or at > _HEAD_BYTES):
            break
        if tag in _WANTED and length != UNDEFINED:  # of one that is there twice the first counts, as in `headers`
            found.setdefault(tag, dataset[at : at + min(length, _LONGEST)])
    return found


def _text(value: bytes, character_set: bytes) -> str:
    """A value of VR LO without what cannot be printed."""
    found, _ = decoded(value, declared_in(character_set))
    return "".join(filter(str.isprintable, found[:_MOST_OF_ID])).strip()
