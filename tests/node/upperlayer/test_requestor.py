"""Associations that end while we send: it is said at once, and what goes out stays PDU by PDU."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pynetdicom import build_context
from pynetdicom.sop_class import Verification

from node.dicom.dimse import StoreRequest, store_response
from node.dicom.part10 import Part10, read_part10
from node.sending.c_store import BURST, outgoing
from node.upperlayer.pdata import COMMAND, LAST, opening
from node.upperlayer.requestor import LONGEST_RECEIVED, AssociationEnded, RequestingAE
from tests.node.conftest import House
from tests.node.phantoms import part10
from tests.node.rawpeer import ABORT, P_DATA, RELEASE_RP, RELEASE_RQ, Said, called
from tests.waiting import at_most, wait_until

NOBODY_ANSWERS = "the peer did not answer"


def end_by_abort(said: Said) -> None:
    said.say(ABORT, bytes(4))


def end_by_close(said: Said) -> None:
    said.sock.close()


class LateCheckpoint(threading.Event):
    """pynetdicom's loop is held up between its checkpoint and its look for a message."""

    def wait(self, timeout: float | None = None) -> bool:
        found = super().wait(timeout)
        time.sleep(0.2)
        return found


def test_a_response_is_not_lost_to_the_loop_that_looks_for_requests(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine who sent the request is late, too: it looks for the response when that has long arrived."""
    ae = RequestingAE("MODALITY")
    ae.dimse_timeout = 5.0
    association = ae.associate(*house.address, [build_context(Verification)], "READFIRST")
    association._reactor_checkpoint = LateCheckpoint()
    association._reactor_checkpoint.set()
    send = association.dimse.send_msg
    monkeypatch.setattr(association.dimse, "send_msg", lambda *message: (send(*message), time.sleep(0.5)))
    wait_until(lambda: association._is_paused)
    for _ in range(3):
        assert association.send_c_echo().Status == 0x0000
    association.release()


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
                wait_until(lambda: sender._channel.pending)
            with pytest.raises(AssociationEnded, match=f"{NOBODY_ANSWERS}|the peer ended the association"):
                sender.store(large if when == "in the middle" else file)
            with pytest.raises(AssociationEnded, match="the peer ended the association"):
                sender.store(file)
        assert not association.is_established
        assert association.is_aborted
    assert time.monotonic() - begun < at_most(5)


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
        with outgoing(association) as sender, pytest.raises(AssociationEnded):
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
                wait_until(lambda: sender._channel.pending)
            with pytest.raises(AssociationEnded):
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
        with outgoing(association) as sender, pytest.raises(AssociationEnded, match=NOBODY_ANSWERS):
            sender.store(file)
        assert not association.is_established
    assert 0.4 <= time.monotonic() - begun < at_most(5)


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
        with outgoing(association) as sender, pytest.raises(AssociationEnded, match="before it had everything"):
            sender.store(read_part10(path))
        over.append(True)
        assert not association.is_established


@pytest.mark.parametrize(
    "words",
    [
        opening(0, 3, COMMAND | LAST),  # of a presentation context that was not asked
        opening(4, 1, LAST) + b"data",
        struct.pack(">BxLLBB", P_DATA, 6, 1000, 1, COMMAND | LAST),  # reaches beyond its PDU
        struct.pack(">BxL", P_DATA, LONGEST_RECEIVED + 1),
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
        with outgoing(association) as sender, pytest.raises(AssociationEnded):
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
        pytest.raises(AssociationEnded, match="did not answer with the response"),
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
