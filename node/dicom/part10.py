"""The head of a DICOM file (PS3.10 7.1): the instance's UIDs and where its Data Set begins, without decoding more."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from node.dicom.value_representations import LONG_LENGTH
from node.errors import UnreadableInstance

_PREAMBLE = 132  # 128 bytes and "DICM"
_GROUP_LENGTH = 12  # the element (0002,0000) UL, whose value counts the rest of the File Meta Information
_FIRST_READ, _LONGEST = 1 << 12, 1 << 20  # bytes of File Meta Information; a usual one has 400
_LONG_LENGTH = frozenset(vr.encode() for vr in LONG_LENGTH)
_SHORT, _LONG = struct.Struct("<HH2sH"), struct.Struct("<HH2sHL")
_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX, _SENDER = 0x0002, 0x0003, 0x0010, 0x0017  # elements of group 0002


@dataclass(frozen=True, slots=True)
class Part10:
    """A DICOM file's head; a UID that it does not name is empty, none is validated."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    dataset_at: int
    """Where the Data Set begins, in bytes."""
    size: int
    """Of the Data Set, in bytes."""
    sending_ae_title: str = ""
    """Who sent it to the node that wrote the file."""


def read_part10(path: Path) -> Part10:
    """Read the head of a file.

    Raises
    ------
    UnreadableInstance
        The file cannot be read, is no DICOM file, or its File Meta Information is broken.
    """
    try:
        with path.open("rb", buffering=0) as file:
            head, size = file.read(_FIRST_READ), os.fstat(file.fileno()).st_size
            if head[_PREAMBLE - 4 : _PREAMBLE] != b"DICM":
                raise UnreadableInstance("it is no DICOM file: there is no DICM after 128 bytes")
            try:
                uids, end = _elements(head)
            except struct.error:
                uids, end = _elements(head + file.read(_LONGEST))
    except OSError as error:
        raise UnreadableInstance(error.strerror or type(error).__name__) from error
    except (struct.error, UnicodeDecodeError) as error:
        raise UnreadableInstance("its File Meta Information is broken") from error
    named = [uids.get(element, "") for element in (_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX)]
    return Part10(path, named[0], named[1], named[2], end, size - end, uids.get(_SENDER, "").strip())


def dataset_offset(path: Path) -> int:
    """Where the Data Set begins in a file that the node wrote: behind as many bytes as (0002,0000) counts.

    Raises
    ------
    UnreadableInstance
        The file cannot be read, or is cut off before.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_PREAMBLE + _GROUP_LENGTH)
        (length,) = struct.unpack_from("<L", head, _PREAMBLE + _GROUP_LENGTH - 4)
    except OSError as error:
        raise UnreadableInstance(error.strerror or type(error).__name__) from error
    except struct.error as error:
        raise UnreadableInstance("it ends within its File Meta Information") from error
    return _PREAMBLE + _GROUP_LENGTH + int(length)


def _elements(head: bytes) -> tuple[dict[int, str], int]:
    """UIDs and AE titles of group 0002 (Explicit VR Little Endian) and where it ends; struct.error beyond `head`."""
    found: dict[int, str] = {}
    at = _PREAMBLE
    while at < len(head):
        group, element, vr, length = _SHORT.unpack_from(head, at)
        if group != 0x0002:
            return found, at
        at += _SHORT.size
        if vr in _LONG_LENGTH:
            *_, length = _LONG.unpack_from(head, at - _SHORT.size)
            at += _LONG.size - _SHORT.size
        if at + length > len(head):
            raise struct.error("an element reaches beyond the head")
        if vr in (b"UI", b"AE"):
            found[element] = head[at : at + length].rstrip(b"\0 ").decode("ascii")
        at += length
    return found, at
