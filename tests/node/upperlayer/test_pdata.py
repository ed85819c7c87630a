from __future__ import annotations

import pytest

from node.upperlayer.pdata import (
    COMMAND,
    HEADER,
    LAST,
    LONGEST_SENT,
    P_DATA,
    InvalidPDU,
    capacity,
    cut,
    opening,
    values,
)


@pytest.mark.parametrize(
    ("maximum", "room"),
    [(16384, 16378), (4097, 4090), (0, LONGEST_SENT - 6), (1 << 30, LONGEST_SENT - 6), (8, 2), (7, 0)],
)
def test_a_pdu_never_exceeds_what_the_peer_takes_nor_our_own_limit(maximum: int, room: int) -> None:
    assert capacity(maximum) == room


@pytest.mark.parametrize("length", [0, 1, 2, 9, 10, 11, 20, 21])
@pytest.mark.parametrize("control", [COMMAND, 0])
def test_pieces_make_the_message_again_and_only_the_last_says_so(length: int, control: int) -> None:
    message = bytes(range(length))
    sent = b"".join(cut(memoryview(message), 7, 10, control))
    came, flags = b"", []
    while sent:
        kind, size = HEADER.unpack_from(sent)
        ((context, flag, data),) = values(sent[6 : 6 + size])
        assert (kind, context, len(data) <= 10) == (P_DATA, 7, True)
        came, sent = came + data, sent[6 + size :]
        flags.append(flag)
    assert came == message
    assert flags == [control] * (len(flags) - 1) + [control | LAST]
    assert len(flags) == max(1, -(-length // 10))


def test_what_does_not_end_has_no_last_piece() -> None:
    parts = list(cut(memoryview(bytes(20)), 1, 10, 0, ends=False))
    assert parts[::2] == [opening(10, 1, 0)] * 2


@pytest.mark.parametrize("body", [b"abc", b"\0\0\0\1ab", b"\0\0\0\x63\1\2abc"])
def test_a_broken_value_is_no_value(body: bytes) -> None:
    with pytest.raises(InvalidPDU):
        list(values(body))
