"""PDUs as bytes, made by hand (PS3.8 9.3), so that they may say what no library would let them say."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from node.upperlayer.socket_reader import read_exactly

APPLICATION = b"1.2.840.10008.3.1.1.1"
Context = tuple[str, Sequence[str]]
CT: Context = (CTImageStorage, (ExplicitVRLittleEndian,))


def pdu(kind: int, body: bytes) -> bytes:
    """A PDU of its type and what is in it."""
    return struct.pack(">BxL", kind, len(body)) + body


def item(kind: int, body: bytes) -> bytes:
    """An item or sub-item (PS3.8 9.3.2.1)."""
    return struct.pack(">BxH", kind, len(body)) + body


def associate_request(
    calling: str = "MODALITY",
    called: str = "READFIRST",
    contexts: Sequence[Context] = (CT,),
    user: bytes = b"",
    version: int = 1,
) -> bytes:
    """An A-ASSOCIATE-RQ; `user` are further sub-items of user information."""
    fixed = struct.pack(">H2x16s16s32x", version, called.encode().ljust(16), calling.encode().ljust(16))
    proposed = b"".join(
        item(
            0x20,
            bytes((2 * number + 1, 0, 0, 0))
            + item(0x30, abstract.encode())
            + b"".join(item(0x40, syntax.encode()) for syntax in syntaxes),
        )
        for number, (abstract, syntaxes) in enumerate(contexts)
    )
    information = item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3") + user
    return pdu(0x01, fixed + item(0x10, APPLICATION) + proposed + item(0x50, information))


def read(sock: socket.socket, count: int) -> bytes:
    """So many bytes; none where it was closed before."""
    try:
        return read_exactly(sock.recv, count)
    except (EOFError, ConnectionResetError):
        return b""


def answer(sock: socket.socket) -> tuple[int, bytes]:
    """Type and content of the next PDU; type 0 where the connection was closed."""
    header = read(sock, 6)
    if len(header) < 6:
        return 0, b""
    kind, length = struct.unpack(">BxL", header)
    return kind, read(sock, length)
