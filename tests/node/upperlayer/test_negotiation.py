"""What PS3.8 wants ignored is ignored, and of each context its first transfer syntax that we keep is accepted."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ports import free_port
from pydicom.uid import DigitalXRayImageStorageForPresentation as DX
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless
from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ

from node.settings import Node, Settings
from node.upperlayer import negotiation
from node.upperlayer.pdata import InvalidPDU
from node.upperlayer.requestor import RequestingAE
from tests.node.conftest import PEERS, House
from tests.node.pdus import APPLICATION, answer, associate_request, item, pdu, read
from tests.waiting import at_most

Listen = Callable[[Settings], House]
EXPLICIT, IMPLICIT, JPEG_LS = map(str, (ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless))
CONTEXTS = ((str(DX), (EXPLICIT,)),)
UNKNOWN = item(0x5A, b"abcd")
PLAIN = associate_request(contexts=CONTEXTS)
ACCEPTED = 2


def edited(offset: int, value: bytes) -> bytes:
    return PLAIN[:offset] + value + PLAIN[offset + len(value) :]


def with_top(*items: bytes) -> bytes:
    return pdu(1, PLAIN[6:] + b"".join(items))


def with_role(body: bytes) -> bytes:
    return associate_request(contexts=CONTEXTS, user=item(0x54, body))


NUL = b"READFIRST".ljust(16, b"\0") + b"MODALITY".ljust(16, b"\0")
TOLERATED = {
    "version bits 0 and 1": associate_request(contexts=CONTEXTS, version=3),
    "all version bits": associate_request(contexts=CONTEXTS, version=0xFFFF),
    "titles ended by NUL": edited(10, NUL),
    "title ended by blanks and NUL": edited(26, b"MODALITY  \0\0xxxx"),
    "title after blanks": edited(10, b"  READFIRST     "),
    "reserved fields": edited(1, b"\xff")[:8] + b"\xff\xff" + PLAIN[10:42] + b"\xff" * 32 + PLAIN[74:],
    "unknown item": with_top(item(0x60, b"abcd")),
    "an item of an A-ASSOCIATE-AC": with_top(item(0x21, b"\5\0\0\0")),
    "items of type 0": with_top(bytes(4)),
    "unknown sub-item": associate_request(contexts=CONTEXTS, user=UNKNOWN),
    "empty sub-item": associate_request(contexts=CONTEXTS, user=item(0xFF, b"")),
    "name of 40 characters": associate_request(contexts=CONTEXTS, user=item(0x55, b"A" * 40)),
    "name in Latin-1": associate_request(contexts=CONTEXTS, user=item(0x55, b"M\xfcller\0")),
    "asynchronous operations cut off": associate_request(contexts=CONTEXTS, user=item(0x53, b"\0")),
    "user identity of a new type": associate_request(contexts=CONTEXTS, user=item(0x58, b"\x09\0\0\1a\0\0")),
    "user identity cut off": associate_request(contexts=CONTEXTS, user=item(0x58, b"\1")),
    "the response to a user identity": associate_request(contexts=CONTEXTS, user=item(0x59, bytes(2))),
    "extended negotiation cut off": associate_request(contexts=CONTEXTS, user=item(0x56, b"\0") + item(0x57, b"\0")),
    "role cut off": with_role(b"\0"),
    "role of other numbers": with_role(struct.pack(">H", len(DX)) + DX.encode() + b"\2\2"),
    "maximum length of two bytes": associate_request(contexts=CONTEXTS, user=item(0x51, b"\x40\0")),
}


@pytest.fixture
def house(listen: Listen, tmp_path: Path) -> House:
    return listen(Settings(node=Node(port=free_port(), data=tmp_path, min_free_mb=0), peers=PEERS))


def accepted(house: House, request: bytes) -> list[tuple[int, int, str]]:
    """Context ID, result and transfer syntax of each context of the A-ASSOCIATE-AC, and it can be released."""
    with socket.create_connection(house.address, timeout=20) as sock:
        sock.sendall(request)
        kind, body = answer(sock)
        assert kind == ACCEPTED, (kind, body)
        sock.sendall(pdu(5, bytes(4)))
        assert read(sock, 6)[:1] == b"\6"
    response = A_ASSOCIATE_AC()
    response.decode(pdu(kind, body))
    return [(one.context_id, one.result, str(one.transfer_syntax)) for one in response.presentation_context]


@pytest.mark.parametrize("request_", TOLERATED.values(), ids=TOLERATED)
def test_what_the_standard_wants_ignored_is_ignored(house: House, request_: bytes) -> None:
    assert accepted(house, request_) == [(1, 0, EXPLICIT)]


@pytest.mark.parametrize(
    ("proposed", "chosen"),
    [
        ((JPEG_LS, EXPLICIT, IMPLICIT), JPEG_LS),
        ((IMPLICIT, EXPLICIT, JPEG_LS), IMPLICIT),
        (("1.2.3.4", JPEG_LS, EXPLICIT), JPEG_LS),
        ((JPEG_LS + "\0", EXPLICIT), JPEG_LS),
        (("", EXPLICIT), EXPLICIT),
        (("\x7f" * 70, EXPLICIT), EXPLICIT),
    ],
)
def test_the_requestors_first_that_we_keep_is_accepted(house: House, proposed: tuple[str, ...], chosen: str) -> None:
    assert accepted(house, associate_request(contexts=[(str(DX), proposed)])) == [(1, 0, chosen)]


def test_each_context_has_its_own_choice_and_a_strange_one_costs_the_others_nothing(house: House) -> None:
    contexts = [(str(DX), (EXPLICIT, IMPLICIT)), (str(DX), (JPEG_LS,)), ("9" * 70, (EXPLICIT,)), (str(DX), ("1.2.3",))]
    results = [(1, 0, EXPLICIT), (3, 0, JPEG_LS), (5, 3), (7, 4)]
    found = accepted(house, associate_request(contexts=contexts))
    assert [one[: len(result)] for one, result in zip(found, results, strict=True)] == results


def test_whatever_a_request_holds_it_is_invalid_or_pynetdicom_can_read_it() -> None:
    chance = random.Random(8)
    valid, supported = 0, {str(DX): (EXPLICIT, JPEG_LS)}
    for _ in range(5000):
        body = bytearray(PLAIN[6:] + item(0x50, item(0x54, b"\0\5" + b"1.2.3" + b"\1\1") + item(0x55, b"NAME")))
        for _ in range(chance.randrange(1, 6)):
            body[chance.randrange(68, len(body))] = chance.randrange(256)
        try:
            plain = negotiation.plain_request(bytes(body), supported)
        except InvalidPDU:
            continue
        request = A_ASSOCIATE_RQ()
        if plain[68 + 29] & 1:  # else its context ID is none
            request.decode(pdu(1, plain))
            request.to_primitive()
            valid += 1
    assert valid > 1000


def acceptance(context: bytes, user: bytes = b"", top: bytes = b"", titles: bytes = b" " * 32) -> bytes:
    fixed = struct.pack(">Hxx", 1) + titles + bytes(32)
    information = item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3") + user)
    return pdu(2, fixed + item(0x10, APPLICATION) + item(0x21, context) + top + information)


@contextmanager
def peer(response: bytes) -> Iterator[int]:
    """A peer that answers an A-ASSOCIATE-RQ with these bytes, and a release with its response; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            sock, _ = server.accept()
            with sock:
                answer(sock)
                sock.sendall(response)
                if answer(sock)[0] == 5:
                    sock.sendall(pdu(6, bytes(4)))
                read(sock, 1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(20)


GOOD = bytes((1, 0, 0, 0)) + item(0x40, EXPLICIT.encode())
FROM_A_PEER = {
    "unknown sub-item": acceptance(GOOD, UNKNOWN),
    "unknown item": acceptance(GOOD, top=UNKNOWN),
    "unknown item in a context": acceptance(GOOD + item(0x41, b"ab")),
    "a rejected context without a syntax": acceptance(GOOD, top=item(0x21, bytes((3, 0, 3, 0)))),
    "a context rejected for a new reason": acceptance(GOOD, top=item(0x21, bytes((3, 0, 9, 0)))),
    "titles of NUL": acceptance(GOOD, titles=bytes(32)),
    "titles of Latin-1": acceptance(GOOD, titles=b"\xe9" * 32),
    "a long name, and a role cut off": acceptance(GOOD, item(0x55, b"\xe9" * 40) + item(0x54, b"\0")),
}


def requestor() -> RequestingAE:
    ae = RequestingAE("READFIRST")
    ae.acse_timeout = ae.network_timeout = 5.0
    return ae


@pytest.mark.parametrize("response", FROM_A_PEER.values(), ids=FROM_A_PEER)
def test_the_same_holds_for_what_a_peer_accepts(response: bytes) -> None:
    contexts = [build_context(DX, [EXPLICIT]), build_context("1.2.840.10008.1.1", [EXPLICIT])]
    with peer(response) as port:
        association = requestor().associate("127.0.0.1", port, contexts=contexts)
        assert association.is_established
        association.release()
        assert association.is_released


@pytest.mark.parametrize(
    ("response", "is_rejected"),
    [*((pdu(3, bytes((0, *why))), True) for why in ((1, 1, 7), (1, 1, 0), (0, 9, 9), (1, 3, 0), (2, 1, 10))),
     (pdu(3, bytes((0, 1))), False), (pdu(7, bytes((0, 0, 2, 3))), False), (pdu(7, bytes((9, 9, 9, 9))), False)],
)  # fmt: skip
def test_a_rejection_is_one_whatever_its_reason(response: bytes, is_rejected: bool) -> None:
    with peer(response) as port:
        begun = time.monotonic()
        association = requestor().associate("127.0.0.1", port, contexts=[build_context(DX, [EXPLICIT])])
        assert (association.is_established, association.is_rejected) == (False, is_rejected)
        assert time.monotonic() - begun < at_most(3)  # known at once, and not after a timeout
