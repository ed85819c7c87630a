"""Sending against a peer made of raw bytes: each instance is taken, or it is said why not."""

from __future__ import annotations

import socket
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pynetdicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import MaximumLengthNotification

from node.dimse import StoreRequest, read_store_request, read_store_response, store_request, store_response
from node.errors import NothingAccepted, PeerError, UnreadableInstance
from node.outgoing import BURST, outgoing
from node.part10 import Part10, read_part10
from node.pdata import COMMAND, LAST, LONGEST_SENT, opening, values
from node.wire import LONGEST_COMING, Caller, Ended
from tests.node.phantoms import INSTANCE, encoded, image, part10, save

P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = 4, 5, 6, 7
NOBODY_ANSWERS = "the peer did not answer"


class Said:
    """The peer's end of an association."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.longest = 0

    def whole(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def pdu(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxL", self.whole(6))
        self.longest = max(self.longest, length) if kind == P_DATA else self.longest
        return kind, self.whole(length)

    def message(self) -> bytes:
        """The next message: a command set or a Data Set."""
        message = b""
        while True:
            kind, body = self.pdu()
            assert kind == P_DATA
            for _, control, data in values(body):
                message += data
                if control & LAST:
                    return message

    def request(self) -> StoreRequest:
        asked = read_store_request(self.message())
        assert asked is not None
        return asked

    def say(self, kind: int, body: bytes) -> None:
        self.sock.sendall(struct.pack(">BxL", kind, len(body)) + body)

    def answer(self, asked: StoreRequest, status: int = 0) -> None:
        self.say(P_DATA, item(store_response(asked, status)))

    def take(self) -> tuple[StoreRequest, bytes]:
        asked = self.request()
        dataset = self.message()
        self.answer(asked)
        return asked, dataset

    def released(self) -> None:
        assert self.pdu()[0] == RELEASE_RQ
        self.say(RELEASE_RP, bytes(4))

    def aborted(self) -> None:
        """What comes until the A-ABORT are whole PDUs."""
        while self.pdu()[0] != ABORT:
            pass


def item(data: bytes, control: int = COMMAND | LAST, context: int = 1) -> bytes:
    return struct.pack(">LBB", len(data) + 2, context, control) + data


def accepting(body: bytes, maximum: int) -> bytes:
    """A-ASSOCIATE-AC of everything that the request asks for."""
    request = A_ASSOCIATE_RQ()
    request.decode(struct.pack(">BxL", 1, len(body)) + body)
    primitive = request.to_primitive()
    contexts = primitive.presentation_context_definition_list
    for context in contexts:
        context.result = 0
    primitive.presentation_context_definition_results_list = contexts
    for part in primitive.user_information:
        if isinstance(part, MaximumLengthNotification):
            part.maximum_length_received = maximum
    primitive.result = 0
    accepted = A_ASSOCIATE_AC()
    accepted.from_primitive(primitive)
    return bytes(accepted.encode())


@contextmanager
def called(peer: Callable[[Said], None], maximum: int = 16384, seconds: float = 20.0) -> Iterator[Association]:
    """An association with a peer that does after the negotiation what `peer` does; its failures are ours."""
    failed: list[BaseException] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                sock, _ = listener.accept()
                with sock:
                    sock.settimeout(20)
                    said = Said(sock)
                    sock.sendall(accepting(said.pdu()[1], maximum))
                    peer(said)
            except BaseException as error:  # noqa: BLE001  # it fails the test, in the thread of the test
                failed.append(error)

        thread = Thread(target=serve)
        thread.start()
        ae = Caller("US")
        ae.acse_timeout = ae.network_timeout = 20.0
        ae.dimse_timeout = seconds
        port = listener.getsockname()[1]
        association = ae.associate("127.0.0.1", port, [build_context(CTImageStorage, ExplicitVRLittleEndian)])
        assert association.is_established
        try:
            yield association
        finally:
            if association.is_established:
                association.release()
            thread.join(20)
        if failed:
            raise failed[0]


@pytest.fixture
def file(tmp_path: Path) -> Part10:
    return read_part10(save(tmp_path / "1", image()))


@pytest.fixture
def large(tmp_path: Path) -> Part10:
    """Three and a half bursts."""
    path = tmp_path / "large"
    path.write_bytes(part10(bytes(range(256)) * (7 * BURST // 512)))
    return read_part10(path)


@pytest.mark.parametrize("maximum", [1024, 4096, 16384, 0])
def test_a_data_set_goes_out_as_it_lies_in_pdus_that_the_peer_takes(file: Part10, large: Part10, maximum: int) -> None:
    came: list[tuple[StoreRequest, bytes]] = []
    longest: list[int] = []

    def peer(said: Said) -> None:
        came.extend(said.take() for _ in range(2))
        longest.append(said.longest)
        said.released()

    with called(peer, maximum) as association, outgoing(association) as sender:
        assert [sender.store(file), sender.store(large)] == [0, 0]
    assert [asked.message_id for asked, _ in came] == [1, 2]
    assert came[0][0] == StoreRequest(1, CTImageStorage, INSTANCE, 2)
    assert [dataset for _, dataset in came] == [encoded(image()), large.path.read_bytes()[large.dataset_at :]]
    assert longest == [maximum or LONGEST_SENT]


def test_a_peer_that_takes_no_byte_in_a_pdu_is_said(file: Part10) -> None:
    with (
        called(Said.released, 7) as association,
        pytest.raises(PeerError, match="Maximum Length"),
        outgoing(association),
    ):
        pass


def test_message_ids_begin_anew_before_they_are_too_large(file: Part10) -> None:
    numbers: list[int] = []

    def peer(said: Said) -> None:
        numbers.extend(said.take()[0].message_id for _ in range(3))
        said.released()

    with called(peer) as association, outgoing(association) as sender:
        sender._message_id = 65533
        assert [sender.store(file) for _ in range(3)] == [0] * 3
    assert numbers == [65534, 65535, 1]


def test_a_large_object_never_lies_in_memory_whole(tmp_path: Path) -> None:
    path, size, count = tmp_path / "1", 32 * BURST, [0]
    path.write_bytes(part10(b""))
    with path.open("r+b") as content:
        content.truncate(path.stat().st_size + size)

    def peer(said: Said) -> None:
        asked, last, buffer = said.request(), 0, bytearray(1 << 17)
        while not last & LAST:
            length, last = struct.unpack(">6xL x B", said.whole(12))
            left = length - 2
            while left:
                left -= said.sock.recv_into(buffer, min(left, len(buffer)))
            count[0] += length - 2
        said.answer(asked)
        said.released()

    with called(peer, 0) as association, outgoing(association) as sender:
        file = read_part10(path)
        tracemalloc.start()
        try:
            assert sender.store(file) == 0
            assert tracemalloc.get_traced_memory()[1] < BURST
        finally:
            tracemalloc.stop()
    assert count[0] == size


def test_what_the_peer_did_not_accept_is_not_sent_and_ends_nothing(file: Part10) -> None:
    def peer(said: Said) -> None:
        assert said.take()[0].message_id == 1
        said.released()

    with called(peer) as association, outgoing(association) as sender:
        with pytest.raises(NothingAccepted):
            sender.store(replace(file, transfer_syntax_uid="1.2.840.10008.1.2"))
        assert sender.store(file) == 0


def test_a_file_that_is_gone_or_too_short_ends_nothing(file: Part10, tmp_path: Path) -> None:
    def peer(said: Said) -> None:
        said.take()
        said.released()

    with called(peer) as association, outgoing(association) as sender:
        with pytest.raises(UnreadableInstance, match="No such file"):
            sender.store(replace(file, path=tmp_path / "gone"))
        with pytest.raises(UnreadableInstance, match="shorter"):
            sender.store(replace(file, size=file.size + 2))
        assert sender.store(file) == 0


def test_a_file_that_ends_too_early_ends_the_association_between_pdus(large: Part10) -> None:
    def peer(said: Said) -> None:
        said.request()
        said.aborted()

    with called(peer) as association:
        with outgoing(association) as sender, pytest.raises(Ended, match="to its end: it became shorter"):
            sender.store(replace(large, size=large.size + 2))
        assert not association.is_established


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="only Linux lets us acknowledge at once")
def test_a_peer_with_nagles_algorithm_does_not_wait_for_our_acknowledgement(file: Part10) -> None:
    count = 50

    def peer(said: Said) -> None:
        for _ in range(count):
            asked = said.request()
            said.message()
            answer = item(store_response(asked, 0))
            said.sock.sendall(struct.pack(">BxL", P_DATA, len(answer)) + answer[:6])
            said.sock.sendall(answer[6:])  # the kernel sends it when the first half is acknowledged: 40 ms later
        said.released()

    with called(peer) as association, outgoing(association) as sender:
        begun = time.monotonic()
        assert [sender.store(file) for _ in range(count)] == [0] * count
        assert time.monotonic() - begun < 1


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_an_answer_may_come_in_pieces(file: Part10, pieces: int) -> None:
    def peer(said: Said) -> None:
        asked = said.request()
        said.message()
        command = store_response(asked, 0xB007)
        cuts = [command[at : at + pieces] for at in range(0, len(command), pieces)]
        items = [item(one, COMMAND | LAST * (number == len(cuts))) for number, one in enumerate(cuts, start=1)]
        said.say(P_DATA, b"".join(items[:3]))  # some values in one PDU, the others each in its own
        for one in items[3:]:
            said.say(P_DATA, one)
        said.released()

    with called(peer) as association, outgoing(association) as sender:
        assert sender.store(file) == 0xB007


def test_an_answer_may_come_before_everything_was_sent(file: Part10, large: Part10) -> None:
    def peer(said: Said) -> None:
        asked = said.request()
        said.answer(asked, 0xA700)
        assert len(said.message()) == large.size
        said.take()
        said.released()

    with called(peer) as association, outgoing(association) as sender:
        assert [sender.store(large), sender.store(file)] == [0xA700, 0]


def end_by_abort(said: Said) -> None:
    said.say(ABORT, bytes(4))


def end_by_close(said: Said) -> None:
    said.sock.close()


@pytest.mark.parametrize("end", [end_by_abort, end_by_close])
@pytest.mark.parametrize("when", ["before the answer", "in the middle", "between two"])
def test_a_peer_that_ends_it_is_said_at_once(
    file: Part10, large: Part10, end: Callable[[Said], None], when: str
) -> None:
    def peer(said: Said) -> None:
        if when == "between two":
            said.take()
        else:
            said.request()
        if when == "before the answer":
            said.message()
        end(said)

    begun = time.monotonic()
    with called(peer) as association:
        with outgoing(association) as sender:
            if when == "between two":
                assert sender.store(file) == 0
                wait_until(lambda: sender._wire.pending)
            with pytest.raises(Ended, match=f"{NOBODY_ANSWERS}|the peer ended the association"):
                sender.store(large if when == "in the middle" else file)
            with pytest.raises(Ended, match="the peer ended the association"):
                sender.store(file)
        assert not association.is_established
        assert association.is_aborted
    assert time.monotonic() - begun < 5


def test_what_is_aborted_in_the_middle_is_not_sent_to_its_end(file: Part10) -> None:
    size, taken = 128 * BURST, [0]
    with file.path.open("r+b") as content:
        content.truncate(size)

    def peer(said: Said) -> None:
        said.request()
        end_by_abort(said)
        while some := said.sock.recv(1 << 20):
            taken[0] += len(some)

    with called(peer) as association:
        with outgoing(association) as sender, pytest.raises(Ended):
            sender.store(read_part10(file.path))
        assert not association.is_established
    assert taken[0] < size // 2


@pytest.mark.parametrize("when", ["before the answer", "between two"])
def test_a_release_by_the_peer_is_answered(file: Part10, when: str) -> None:
    def peer(said: Said) -> None:
        if when == "between two":
            said.take()
        else:
            said.request()
            said.message()
        said.say(RELEASE_RQ, bytes(4))
        assert said.pdu()[0] == RELEASE_RP

    with called(peer) as association:
        with outgoing(association) as sender:
            if when == "between two":
                assert sender.store(file) == 0
                wait_until(lambda: sender._wire.pending)
            with pytest.raises(Ended):
                sender.store(file)
        assert association.is_released


def test_a_peer_that_never_answers_is_aborted_in_time(file: Part10) -> None:
    def peer(said: Said) -> None:
        said.request()
        said.message()
        said.sock.sendall(b"\4")  # a byte is no answer
        said.aborted()

    begun = time.monotonic()
    with called(peer, seconds=0.4) as association:
        with outgoing(association) as sender, pytest.raises(Ended, match=NOBODY_ANSWERS):
            sender.store(file)
        assert not association.is_established
    assert 0.4 <= time.monotonic() - begun < 5


def test_a_peer_that_reads_nothing_is_left_without_half_a_pdu_and_an_abort_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "1"
    path.write_bytes(part10(bytes(16 * BURST)))

    def peer(said: Said) -> None:
        said.sock.recv(1)
        wait_until(lambda: over)
        with pytest.raises((EOFError, ConnectionResetError)):
            while said.whole(1 << 16):
                pass

    over: list[bool] = []
    with called(peer, seconds=0.4) as association:
        with outgoing(association) as sender, pytest.raises(Ended, match="before it had everything"):
            sender.store(read_part10(path))
        over.append(True)
        assert not association.is_established


@pytest.mark.parametrize(
    "words",
    [
        opening(0, 3, COMMAND | LAST),  # of a presentation context that was not asked
        opening(4, 1, LAST) + b"data",
        struct.pack(">BxLLBB", P_DATA, 6, 1000, 1, COMMAND | LAST),  # reaches beyond its PDU
        struct.pack(">BxL", P_DATA, LONGEST_COMING + 1),
        struct.pack(">BxL", 9, 0),
        struct.pack(">BxL", 2, 2) + b"ab",
        opening(154, 1, COMMAND | LAST) + store_response(StoreRequest(9, "1.2", "1.3"), 0).ljust(154, b"\0"),
        opening(4, 1, COMMAND | LAST) + b"abcd",
    ],
)
def test_what_is_no_answer_ends_the_association_with_an_abort(file: Part10, words: bytes) -> None:
    def peer(said: Said) -> None:
        said.request()
        said.message()
        said.sock.sendall(words)
        said.aborted()

    with called(peer) as association:
        with outgoing(association) as sender, pytest.raises(Ended):
            sender.store(file)
        assert not association.is_established


def test_an_answer_to_something_else_is_none(file: Part10) -> None:
    def peer(said: Said) -> None:
        asked = said.request()
        said.message()
        said.answer(replace(asked, message_id=9))
        said.aborted()

    with (
        called(peer) as association,
        outgoing(association) as sender,
        pytest.raises(Ended, match="did not answer with the response"),
    ):
        sender.store(file)


def test_after_a_fault_of_ours_the_association_is_still_pynetdicoms(file: Part10) -> None:
    def peer(said: Said) -> None:
        said.take()
        said.aborted()

    with called(peer) as association:
        with pytest.raises(ZeroDivisionError), outgoing(association) as sender:
            sender.store(file)
            raise ZeroDivisionError
        association.abort()


def test_the_commands_read_back_as_what_was_meant() -> None:
    asked = StoreRequest(300, CTImageStorage, INSTANCE, 1)
    assert read_store_request(store_request(asked)) == asked
    answer = read_store_response(store_response(asked, 0xB000))
    assert answer is not None
    assert (answer.responded_to, answer.status) == (300, 0xB000)
    assert read_store_response(store_request(asked)) is None
    assert read_store_response(store_response(asked, 0)[:-1]) is None
    assert read_store_response(b"") is None


def test_this_is_the_pynetdicom_that_was_read() -> None:
    """Its private parts that `node.wire` uses; a new version is looked at before its number is changed here."""
    assert pynetdicom.__version__ == "3.0.4"
    assoc = Association(AE("X"), "requestor")
    for name in ("_reactor_checkpoint", "_is_paused", "acse_timeout", "dimse_timeout", "network_timeout", "dimse"):
        assert hasattr(assoc, name)
    for name in ("_idle_timer", "_recv_pdu", "event_queue", "socket"):
        assert hasattr(assoc.dul, name)
    for name in ("_decode_pdu", "_is_transport_event"):
        assert callable(getattr(DULServiceProvider, name))
    assert callable(AE._create_socket)


def wait_until(done: Callable[[], object]) -> None:
    until = time.monotonic() + 10
    while not done():
        assert time.monotonic() < until
        time.sleep(0.005)
