"""The upper layer against raw bytes: whatever is cut where, an instance is kept whole or not at all."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pynetdicom
import pytest
from ports import free_port
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification

from node.dicom.dimse import StoreRequest, read_store_request, store_response
from node.settings import Node, Settings
from node.upperlayer.socket_reader import BUFFER, read_exactly
from node.upperlayer.streaming import LONGEST_OTHER
from tests.node.conftest import PEERS, House
from tests.node.phantoms import INSTANCE, encoded, image
from tests.waiting import at_most, wait_until

Listen = Callable[[Settings], House]
CONTEXT = 1
COMMAND, LAST = 1, 2


@pytest.fixture
def house(listen: Listen, tmp_path: Path) -> House:
    node = Node(port=free_port(), data=tmp_path, min_free_mb=0, network_timeout=2.0)
    return listen(Settings(node=node, peers=PEERS))


class Caller:
    """An association made of raw bytes."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def pdu(self, kind: int, body: bytes) -> None:
        self.sock.sendall(struct.pack(">BxL", kind, len(body)) + body)

    def answer(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxL", self.whole(6))
        return kind, self.whole(length)

    def whole(self, count: int) -> bytes:
        return read_exactly(self.sock.recv, count)

    def status(self) -> int:
        kind, body = self.answer()
        assert kind == 4
        elements = body[6:]
        at = elements.index(struct.pack("<HHL", 0, 0x0900, 2)) + 8
        return int(struct.unpack_from("<H", elements, at)[0])

    def is_closed(self) -> bool:
        """The other side ends the association: an A-ABORT may come before."""
        try:
            kind, _ = self.answer()
            assert kind == 7
            self.whole(1)
        except (EOFError, ConnectionResetError):
            return True
        return False


class Listening(Protocol):
    """A node that listens."""

    @property
    def address(self) -> tuple[str, int]: ...


@contextmanager
def called(house: Listening, calling: str = "MODALITY") -> Iterator[Caller]:
    """An accepted association for CT images."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = calling, "READFIRST"
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16384
    implementation.implementation_class_uid = pynetdicom.PYNETDICOM_IMPLEMENTATION_UID
    primitive.user_information = [length, implementation]
    context = build_context(CTImageStorage, ExplicitVRLittleEndian)
    context.context_id = CONTEXT
    primitive.presentation_context_definition_list = [context]
    request = A_ASSOCIATE_RQ()
    request.from_primitive(primitive)
    with socket.create_connection(house.address, timeout=20) as sock:
        sock.sendall(request.encode())
        caller = Caller(sock)
        assert caller.answer()[0] == 2
        yield caller


def command(number: int = 7, uid: str = INSTANCE) -> bytes:
    """A C-STORE-RQ: the response's bytes with the fields of a request."""
    said = store_response(StoreRequest(number, CTImageStorage, uid), 0)
    said = said.replace(struct.pack("<HHLH", 0, 0x0100, 2, 0x8001), struct.pack("<HHLH", 0, 0x0100, 2, 0x0001))
    said = said.replace(struct.pack("<HHLH", 0, 0x0120, 2, number), struct.pack("<HHLH", 0, 0x0110, 2, number))
    return said.replace(struct.pack("<HHLH", 0, 0x0800, 2, 0x0101), struct.pack("<HHLH", 0, 0x0800, 2, 0x0000))


def item(data: bytes, control: int, context: int = CONTEXT) -> bytes:
    return struct.pack(">LBB", len(data) + 2, context, control) + data


def kept(house: House) -> list[bytes]:
    return [path.read_bytes() for path in house.files]


def left_behind(house: House) -> list[Path]:
    return list(house.receiver.store.incoming.iterdir())


def test_the_command_reads_back_as_what_was_asked() -> None:
    assert read_store_request(command(300)) == StoreRequest(300, CTImageStorage, INSTANCE)
    assert read_store_request(command()[:-1]) is None
    assert read_store_request(store_response(StoreRequest(1, "1.2", "1.3"), 0)) is None
    assert read_store_request(b"\0" * 20) is None


@pytest.mark.parametrize("size", [1, 2, 7, 100, 10**6])
def test_fragments_of_any_size_make_one_instance(house: House, size: int) -> None:
    dataset = encoded(image())
    pieces = [dataset[at : at + size] for at in range(0, len(dataset), size)]
    with called(house) as caller:
        caller.pdu(4, item(command(), COMMAND | LAST))
        for number, piece in enumerate(pieces, start=1):
            caller.pdu(4, item(piece, LAST if number == len(pieces) else 0))
        assert caller.status() == 0x0000
        (file,) = kept(house)
        assert file.endswith(dataset) and file[128:132] == b"DICM"


def test_command_and_data_set_may_share_pdus_and_two_requests_may_follow_at_once(house: House) -> None:
    first, second = encoded(image()), encoded(image(SOPInstanceUID=f"{INSTANCE}.9"))
    body = item(command(), COMMAND | LAST) + item(first[:50], 0) + item(b"", 0) + item(first[50:], LAST)
    body += item(command(8, f"{INSTANCE}.9"), COMMAND | LAST) + item(second, LAST)
    with called(house) as caller:
        caller.pdu(4, body)
        assert (caller.status(), caller.status()) == (0, 0)
    assert len(kept(house)) == 2


def test_a_command_in_two_fragments_is_put_together(house: House) -> None:
    said, dataset = command(), encoded(image())
    with called(house) as caller:
        caller.pdu(4, item(said[:30], COMMAND) + item(said[30:], COMMAND | LAST))
        caller.pdu(4, item(dataset, LAST))
        assert caller.status() == 0x0000
    (file,) = kept(house)
    assert file.endswith(dataset)


def test_release_and_echo_are_answered_between_instances(house: House) -> None:
    dataset = encoded(image())
    with called(house) as caller:
        for _ in range(2):
            caller.pdu(4, item(command(), COMMAND | LAST) + item(dataset, LAST))
            assert caller.status() == 0x0000
        caller.pdu(5, bytes(4))
        assert caller.answer()[0] == 6
    wait_until(lambda: len(house.released) == 1)


@pytest.mark.parametrize("ending", ["close", "abort", "release"])
def test_an_association_that_ends_in_the_middle_leaves_nothing(house: House, ending: str) -> None:
    with called(house) as caller:
        caller.pdu(4, item(command(), COMMAND | LAST) + item(encoded(image())[:100], 0))
        wait_until(lambda: len(left_behind(house)) == 1)
        if ending == "abort":
            caller.pdu(7, bytes(4))
        if ending == "release":
            caller.pdu(5, bytes(4))
    wait_until(lambda: not left_behind(house))
    assert kept(house) == []


@pytest.mark.parametrize(
    "body",
    [
        item(b"abc", COMMAND | LAST),  # another command within the Data Set
        item(b"abc", 0, context=3),
        struct.pack(">LBB", 1000, CONTEXT, 0) + b"abc",  # reaches beyond its PDU
        struct.pack(">LBB", 1, CONTEXT, 0) + b"abc",
        b"abc",
    ],
)
def test_what_may_not_come_within_a_data_set_ends_the_association(house: House, body: bytes) -> None:
    with called(house) as caller:
        caller.pdu(4, item(command(), COMMAND | LAST) + item(encoded(image())[:100], 0))
        caller.pdu(4, body)
        assert caller.is_closed()
    wait_until(lambda: not left_behind(house))
    assert kept(house) == []


@pytest.mark.parametrize("kind", [1, 5, 7, 4])
def test_a_length_of_four_gigabytes_takes_no_memory(house: House, kind: int) -> None:
    with called(house) as caller:
        caller.sock.sendall(struct.pack(">BxL", kind, 0xFFFFFFFF) + bytes(100))
        assert caller.is_closed()
    assert LONGEST_OTHER < 1 << 21


def test_before_an_association_a_long_pdu_is_not_read(house: House) -> None:
    with socket.create_connection(house.address, timeout=20) as sock:
        sock.sendall(struct.pack(">BxL", 1, 0xFFFFFFFF))
        assert Caller(sock).is_closed()


def test_connections_that_end_without_a_word_keep_nobody_out(house: House) -> None:
    most = house.receiver.settings.node.max_associations
    for sock in [socket.create_connection(house.address) for _ in range(2 * most)]:
        sock.close()
    wait_until(lambda: not [one for one in threading.enumerate() if isinstance(one, Association)])
    with called(house) as caller:
        caller.pdu(5, bytes(4))
        assert caller.answer()[0] == 6


def test_a_pdu_that_does_not_come_whole_in_time_ends_the_association(house: House) -> None:
    with called(house) as caller:
        start = time.monotonic()
        caller.sock.sendall(struct.pack(">BxLLBB", 4, 1000, 996, CONTEXT, COMMAND | LAST))
        with pytest.raises((EOFError, ConnectionResetError, BrokenPipeError)):  # a byte now and then is not enough
            for _ in range(100):
                caller.sock.sendall(b"\0")
                caller.sock.settimeout(0.1)
                try:
                    caller.whole(1)
                except TimeoutError:
                    continue
        assert 1.5 < time.monotonic() - start < at_most(6)


def test_an_object_never_lies_in_memory_whole(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = list[int]()
    begin = house.receiver.store.begin

    def watched(meta: bytes) -> object:
        incoming = begin(meta)
        write = incoming.write
        monkeypatch.setattr(incoming, "write", lambda data: (sizes.append(len(data)), write(data))[1])
        return incoming

    monkeypatch.setattr(house.receiver.store, "begin", watched)
    dataset = encoded(image()) + bytes(4 * BUFFER)
    with called(house) as caller:
        caller.pdu(4, item(command(), COMMAND | LAST) + item(dataset, LAST))
        caller.status()
    assert sum(sizes) == len(dataset)
    assert max(sizes) <= BUFFER
