"""Sending against a peer made of raw bytes: each instance is taken, or it is said why not."""

from __future__ import annotations

import socket
import struct
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage

from node.dicom.dimse import StoreRequest, read_store_request, read_store_response, store_request, store_response
from node.dicom.part10 import Part10, read_part10
from node.errors import NothingAccepted, PeerError, UnreadableInstance
from node.sending.c_store import BURST, outgoing
from node.upperlayer.pdata import COMMAND, LAST, LONGEST_SENT
from node.upperlayer.requestor import AssociationEnded
from tests.node.phantoms import INSTANCE, encoded, image, part10
from tests.node.rawpeer import P_DATA, Said, called, item
from tests.waiting import at_most


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
        with outgoing(association) as sender, pytest.raises(AssociationEnded, match="to its end: it became shorter"):
            sender.store(replace(large, size=large.size + 2))
        assert not association.is_established


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="only Linux lets us acknowledge at once")
def test_a_peer_with_nagles_algorithm_does_not_wait_for_our_acknowledgement(file: Part10) -> None:
    count = 100

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
        assert time.monotonic() - begun < at_most(2)


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


def test_the_commands_read_back_as_what_was_meant() -> None:
    asked = StoreRequest(300, CTImageStorage, INSTANCE, 1)
    assert read_store_request(store_request(asked)) == asked
    answer = read_store_response(store_response(asked, 0xB000))
    assert answer is not None
    assert (answer.responded_to, answer.status) == (300, 0xB000)
    assert read_store_response(store_request(asked)) is None
    assert read_store_response(store_response(asked, 0)[:-1]) is None
    assert read_store_response(b"") is None
