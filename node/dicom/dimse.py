"""C-STORE's command sets (PS3.7 6.3.1, 9.3.1: Implicit VR Little Endian) and File Meta Information, as bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION

_SOP_CLASS, _COMMAND_FIELD, _MESSAGE_ID, _RESPONDED_TO, _PRIORITY = 0x0002, 0x0100, 0x0110, 0x0120, 0x0700
_DATA_SET_TYPE, _STATUS, _SOP_INSTANCE = 0x0800, 0x0900, 0x1000
_C_STORE_RQ, _C_STORE_RSP = 0x0001, 0x8001
_SOME_DATA_SET, _NO_DATA_SET = 0x0001, 0x0101
_ELEMENT = struct.Struct("<HHL")
_US = struct.Struct("<H")
_WARNINGS = frozenset({0x0001, 0x0107, 0x0116})  # and 0xBxxx


def is_performed(status: int) -> bool:
    """Whether a peer performed what was requested: Success, or a warning (PS3.7 C.1, C.4)."""
    return status == 0 or status in _WARNINGS or status & 0xF000 == 0xB000


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """The elements of a C-STORE-RQ that we need; the UIDs are not validated."""

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    priority: int = 0
    """Priority (0000,0700), PS3.7 9.1.1.1."""


@dataclass(frozen=True, slots=True)
class StoreResponse:
    """The elements of a C-STORE-RSP that we need."""

    responded_to: int
    """Message ID Being Responded To (0000,0120)."""
    status: int


def read_store_request(command: bytes) -> StoreRequest | None:
    """The request that a command set is; None for every other message, and where an element is missing or broken."""
    elements = _read_elements(command)
    try:
        if _number(elements, _COMMAND_FIELD) != _C_STORE_RQ or _number(elements, _DATA_SET_TYPE) == _NO_DATA_SET:
            return None
        class_uid, instance_uid = (elements[key].rstrip(b"\0 ").decode("ascii") for key in (_SOP_CLASS, _SOP_INSTANCE))
        priority = _number(elements, _PRIORITY) if _PRIORITY in elements else 0
        return StoreRequest(_number(elements, _MESSAGE_ID), class_uid, instance_uid, priority)
    except (KeyError, struct.error, UnicodeDecodeError):
        return None


def read_store_response(command: bytes) -> StoreResponse | None:
    """The response that a command set is; None for every other message, and where an element is missing or broken."""
    elements = _read_elements(command)
    try:
        if _number(elements, _COMMAND_FIELD) != _C_STORE_RSP or _number(elements, _DATA_SET_TYPE) != _NO_DATA_SET:
            return None
        return StoreResponse(_number(elements, _RESPONDED_TO), _number(elements, _STATUS))
    except (KeyError, struct.error):
        return None


def _read_elements(command: bytes) -> dict[int, bytes]:
    """Values of group 0000 by element; none of a command set that is cut off or has another group."""
    elements: dict[int, bytes] = {}
    at = 0
    while at < len(command):
        if len(command) - at < _ELEMENT.size:
            return {}
        group, element, length = _ELEMENT.unpack_from(command, at)
        at += _ELEMENT.size
        if group != 0 or len(command) - at < length:
            return {}
        elements[element] = command[at : at + length]
        at += length
    return elements


def _number(elements: dict[int, bytes], key: int) -> int:
    (number,) = _US.unpack(elements[key])
    return int(number)


def store_request(request: StoreRequest) -> bytes:
    """The command set that asks for a Data Set to be kept."""
    return _command(
        _uid(_SOP_CLASS, request.sop_class_uid),
        _us(_COMMAND_FIELD, _C_STORE_RQ),
        _us(_MESSAGE_ID, request.message_id),
        _us(_PRIORITY, request.priority),
        _us(_DATA_SET_TYPE, _SOME_DATA_SET),
        _uid(_SOP_INSTANCE, request.sop_instance_uid),
    )


def store_response(request: StoreRequest, status: int) -> bytes:
    """The command set of the response."""
    return _command(
        _uid(_SOP_CLASS, request.sop_class_uid),
        _us(_COMMAND_FIELD, _C_STORE_RSP),
        _us(_RESPONDED_TO, request.message_id),
        _us(_DATA_SET_TYPE, _NO_DATA_SET),
        _us(_STATUS, status),
        _uid(_SOP_INSTANCE, request.sop_instance_uid),
    )


def _command(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return _ELEMENT.pack(0, 0, 4) + struct.pack("<L", len(body)) + body


def _us(element: int, value: int) -> bytes:
    return _ELEMENT.pack(0, element, 2) + _US.pack(value)


def _uid(element: int, uid: str) -> bytes:
    """The element; nothing for what is too long for a UID, which a response may leave out (PS3.7 9.1.1.1)."""
    if len(uid) > 64:
        return b""
    value = uid.encode("ascii")
    value += b"\0" * (len(value) % 2)
    return _ELEMENT.pack(0, element, len(value)) + value


def file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, sending_ae_title: str = "") -> bytes:
    """Preamble, prefix and File Meta Information of a file; Explicit VR Little Endian."""
    version = struct.pack("<HH2sHL", 2, 0x0001, b"OB", 0, 2) + b"\0\1"
    texts = (
        (0x0002, b"UI", sop_class_uid),
        (0x0003, b"UI", sop_instance_uid),
        (0x0010, b"UI", transfer_syntax_uid),
        (0x0012, b"UI", PYNETDICOM_IMPLEMENTATION_UID),
        (0x0013, b"SH", PYNETDICOM_IMPLEMENTATION_VERSION),
        (0x0017, b"AE", sending_ae_title),
    )
    body = version + b"".join(_explicit(element, vr, value) for element, vr, value in texts if value)
    return bytes(128) + b"DICM" + struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(body)) + body


def _explicit(element: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii")
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", 2, element, vr, len(value)) + value
