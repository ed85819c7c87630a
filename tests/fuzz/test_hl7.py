"""HL7 from any sender: every block is answered by an acknowledgement or ends the connection, in linear time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.hl7.mllp import BadBlock, Blocks, block
from node.ledger.engine import Ledger
from node.settings import Orders
from node.worklist.orders.listener import OrderReceiver
from tests.fuzz.chance import TRIES, changed
from tests.fuzz.crashes import replayed
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS, Play
from tests.node.worklist.orders.test_listener import OMG, fill

RIGHT = fill(OMG)
SECRET = "Secret"
PARTS = ["MSH", "^~\\&", "ORC", "OBR", "\\F\\", "\\", "^^^", "~", "&", "", "é", "\x1b"]

lines = st.one_of(
    st.sampled_from(RIGHT.split("\r")),
    st.builds("|".join, st.lists(st.sampled_from(PARTS), max_size=30)),
    st.text(max_size=30),
)
messages = st.lists(lines, max_size=8).map("\r".join)


@pytest.fixture(scope="module")
def play() -> Iterator[Play]:
    with TARGETS["hl7"]() as play:
        yield play


def test_what_once_went_wrong_and_what_lies_beside_the_right_goes_well(play: Play) -> None:
    for data in (*replayed("hl7"), *SEEDS["hl7"].values()):
        play(data)
    for data in islice(changed(list(SEEDS["hl7"].values()), random.Random(1)), 800):
        play(data)


@TRIES
@given(messages, st.sampled_from(["utf-8", "latin-1", "utf-16"]))
def test_any_message_is_answered(play: Play, message: str, encoding: str) -> None:
    play(block(message.encode(encoding, "replace")))


@TRIES
@given(st.lists(st.binary(max_size=40).filter(lambda data: not {0x0B, 0x1C} & set(data))), st.data())
def test_however_the_network_cuts_them_messages_come_as_they_were_sent(
    contents: list[bytes], data: st.DataObject
) -> None:
    sent = b"".join(b"\r\n" + block(content) for content in contents)
    receive = _cut(sent, lambda left: data.draw(st.integers(1, max(left, 1))))
    blocks = Blocks(receive, 1 << 20)
    assert [blocks.read() for _ in contents] == contents
    assert blocks.read() is None


def _cut(sent: bytes, size: Callable[[int], int]) -> Callable[[int], bytes]:
    rest = memoryview(sent)

    def receive(count: int) -> bytes:
        nonlocal rest
        taken = rest[: min(count, size(len(rest)))]
        rest = rest[len(taken) :]
        return bytes(taken)

    return receive


def test_a_megabyte_that_comes_byte_by_byte_takes_no_longer_than_its_bytes() -> None:
    begin = time.process_time()
    assert Blocks(_cut(block(bytes(10**6)), lambda _left: 1), 1 << 20).read() == bytes(10**6)
    assert time.process_time() - begin < 10.0


@pytest.mark.parametrize("sent", [b"\x0b" + bytes((1 << 20) + 1), b"\x0bMSH|", b"\x0b"])
def test_a_message_too_long_or_cut_off_ends_the_connection(sent: bytes) -> None:
    with pytest.raises(BadBlock):
        Blocks(_cut(sent, lambda left: left), 1 << 20).read()


def test_noise_between_blocks_is_not_kept() -> None:
    blocks = Blocks(_cut(bytes(5 << 20) + block(b"x"), lambda left: left), 1 << 10)
    assert blocks.read() == b"x"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "AR"),
        (b"GET / HTTP/1.1", "AR"),
        (b"MSH", "AR"),
        (b"MSH|^~\\&", "AE"),
        (b"MSH|||||||||||||||||||||", "AE"),
        (b"MSHHHHHHHHHHHHHHHHHHHHHHH", "AE"),
        (fill(OMG, charset=SECRET * 1000).encode(), "AA"),
        (fill(OMG, charset="UNICODE UTF-8").encode("latin-1").replace(b"Secret", b"S\xe9cret"), "AA"),
        (fill(OMG).replace("ORC", "ZZZ").replace("OBR", "ZZY").encode(), "AE"),
        (fill(OMG, accession="A" * 65).encode(), "AE"),
        (fill(OMG, id="").encode(), "AE"),
        (b"\0" * 5000, "AR"),
    ],
)
def test_every_acknowledgement_quotes_nothing(ledger: Ledger, content: bytes, code: str) -> None:
    (answer,) = OrderReceiver(Orders(), ledger).receive(content)
    assert f"\rMSA|{code}|" in answer.decode()
    assert SECRET not in answer.decode()
    assert len(answer) < 1000
