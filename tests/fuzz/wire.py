"""Bytes of the upper layer and of commands, right or wrong as wanted (PS3.7 Annex E, PS3.8 9.3, Annex E)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.sop_class import Verification

RQ, AC, RJ, P_DATA, RELEASE, RELEASED, ABORT = range(1, 8)
COMMAND, LAST = 1, 2
WHOLE = COMMAND | LAST
CONTEXT = 1
IMPLEMENTATION = b"1.2.826.0.1.3680043.9.99"
CONTEXTS = ((1, CTImageStorage, (ExplicitVRLittleEndian,)), (3, Verification, (ImplicitVRLittleEndian,)))


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    """A PDU; `length` says another than the body's."""
    return struct.pack(">BxL", kind, len(body) if length is None else length) + body


def item(data: bytes, control: int, context: int = CONTEXT, length: int | None = None) -> bytes:
    """A presentation data value item."""
    return struct.pack(">LBB", len(data) + 2 if length is None else length, context, control) + data


def sub_item(kind: int, body: bytes, length: int | None = None) -> bytes:
    """An item or sub-item of the A-ASSOCIATE PDUs."""
    return struct.pack(">BxH", kind, len(body) if length is None else length) + body


def context_item(context: int, abstract: str | bytes, syntaxes: Iterable[str | bytes]) -> bytes:
    """A presentation context item of an A-ASSOCIATE-RQ."""
    names = sub_item(0x30, _bytes(abstract)) + b"".join(sub_item(0x40, _bytes(one)) for one in syntaxes)
    return sub_item(0x20, struct.pack(">Bxxx", context) + names)


def association_request(
    contexts: Sequence[tuple[int, str | bytes, Sequence[str | bytes]]] = CONTEXTS,
    *,
    calling: bytes = b"MODALITY",
    called: bytes = b"READFIRST",
    version: int = 1,
    maximum: int = 16384,
    more: bytes = b"",
    application: bytes = b"1.2.840.10008.3.1.1.1",
) -> bytes:
    """An A-ASSOCIATE-RQ; `more` are further items of its user information."""
    user = sub_item(0x51, struct.pack(">L", maximum)) + sub_item(0x52, IMPLEMENTATION) + more
    items = sub_item(0x10, application) + b"".join(context_item(*one) for one in contexts) + sub_item(0x50, user)
    return pdu(RQ, struct.pack(">Hxx16s16s32x", version, called.ljust(16), calling.ljust(16)) + items)


def element(tag: int, value: bytes, length: int | None = None) -> bytes:
    """An element of a command set: Implicit VR Little Endian, group 0000."""
    return struct.pack("<HHL", 0, tag, len(value) if length is None else length) + value


def number(tag: int, value: int) -> bytes:
    """A US of a command set."""
    return element(tag, struct.pack("<H", value))


def command(*elements: bytes) -> bytes:
    """A command set with its group length."""
    body = b"".join(elements)
    return element(0, struct.pack("<L", len(body))) + body


def store(uid: str | bytes, message: int = 7, sop_class: str | bytes = CTImageStorage) -> bytes:
    """A C-STORE-RQ."""
    return command(
        element(0x0002, even(_bytes(sop_class))), number(0x0100, 1), number(0x0110, message), number(0x0700, 0),
        number(0x0800, 1), element(0x1000, even(_bytes(uid))),
    )  # fmt: skip


def echo(message: int = 9) -> bytes:
    """A C-ECHO-RQ."""
    return command(
        element(0x0002, even(_bytes(Verification))),
        number(0x0100, 0x30),
        number(0x0110, message),
        number(0x0800, 0x0101),
    )


def stored(uid: str | bytes, dataset: bytes, message: int = 7) -> bytes:
    """A whole instance as one P-DATA-TF of a command and a Data Set."""
    return pdu(P_DATA, item(store(uid, message), WHOLE)) + pdu(P_DATA, item(dataset, LAST))


def status(said: bytes) -> int:
    """The Status (0000,0900) of a command set."""
    at = 0
    while at < len(said):
        _, tag, length = struct.unpack_from("<HHL", said, at)
        if tag == 0x0900:
            return int(struct.unpack_from("<H", said, at + 8)[0])
        at += 8 + length
    raise ValueError("a command set without a status")


def even(value: bytes) -> bytes:
    """A UID's value padded to even length (PS3.5 9.1)."""
    return value + b"\0" * (len(value) % 2)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("ascii")
