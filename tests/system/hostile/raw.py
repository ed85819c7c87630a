"""Instances, messages and requests as bytes, without our own code or a library between."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from pydicom.filereader import read_file_meta_info

from tests.fuzz import wire
from tests.fuzz.caller import Caller
from tests.node.phantoms import STUDY
from tests.system.hostile.kind import NOTHING
from tests.system.hostile.limited import HOSTILE, Site

_PIECE = 200_000  # bytes of a PDV
_PREAMBLE = 132
_SECONDS = 90.0  # until an answer: long Data Sets are written to disk first
_COMMON = STUDY.encode()  # all UIDs of the phantoms begin with it
_UIDS = (f"1.2.826.9.{number}".encode() for number in count(10 ** (len(STUDY) - 11)))


def in_own_study(uid: str, dataset: bytes) -> tuple[bytes, bytes]:
    """SOP Instance UID and Data Set of `tests.node.phantoms` under UIDs that nobody else has, as long as they were."""
    own = next(_UIDS)
    return uid.encode().replace(_COMMON, own), dataset.replace(_COMMON, own)


def stores(
    site: Site, uid: str | bytes, dataset: Iterable[bytes], syntax: str, sop_class: str, calling: str = HOSTILE
) -> str:
    """The status of a C-STORE of its own association, or how it ended."""
    caller = Caller(site.house.port)
    with caller.sock:
        caller.sock.settimeout(_SECONDS)
        contexts = ((wire.CONTEXT, sop_class, (syntax,)),)
        caller.send(wire.association_request(contexts, calling=calling.encode()))
        if (answer := caller.read()) != "AC":
            return answer
        caller.send(wire.pdu(wire.P_DATA, wire.item(wire.store(uid, sop_class=sop_class), wire.WHOLE)))
        for piece in dataset:
            if not caller.send(wire.pdu(wire.P_DATA, wire.item(piece, 0))):
                break
        caller.send(wire.pdu(wire.P_DATA, wire.item(b"", wire.LAST)))
        answer = caller.read()
        if answer.startswith("0x"):
            caller.send(wire.pdu(wire.RELEASE, bytes(4)))
            caller.read()
        return answer


def pieces(data: bytes) -> Iterator[bytes]:
    """For `stores`."""
    return (data[at : at + _PIECE] for at in range(0, len(data), _PIECE))


def stores_file(site: Site, path: Path) -> str:
    """The same of a file with File Meta Information: the bytes behind it, as they are."""
    meta = read_file_meta_info(path)
    content = path.read_bytes()
    (length,) = struct.unpack_from("<L", content, _PREAMBLE + 8)
    uid, sop_class = str(meta.MediaStorageSOPInstanceUID), str(meta.MediaStorageSOPClassUID)
    return stores(site, uid, pieces(content[_PREAMBLE + 12 + length :]), str(meta.TransferSyntaxUID), sop_class)


def requests(site: Site, *sends: bytes, ended: bool = False) -> str:
    """The first word that bytes at the DICOM port are answered; where `ended`, the connection is half closed then."""
    caller = Caller(site.house.port)
    with caller.sock:
        for data in sends:
            caller.send(data)
        with suppress(OSError):
            if ended:
                caller.sock.shutdown(socket.SHUT_WR)
        return caller.read()


def orders(site: Site, stream: bytes) -> bytes:
    """All that bytes at the MLLP port are answered until the listener ends the connection."""
    with socket.create_connection(("127.0.0.1", site.orders), timeout=30) as sock:
        answer = b""
        with suppress(OSError):
            sock.sendall(stream)
            sock.shutdown(socket.SHUT_WR)
            while more := sock.recv(65536):
                answer += more
        return answer


def acknowledgements(answer: bytes) -> str:
    """MSA-1 of each response."""
    codes = [segment.split(b"|")[1].decode("latin-1") for segment in answer.split(b"\r") if segment[:4] == b"MSA|"]
    return " ".join(codes) or NOTHING
