"""P-DATA-TF: how a message is cut into presentation data values, and what stands before each (PS3.8 9.3.5, Annex E)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

P_DATA = 0x04
COMMAND, LAST = 0x01, 0x02  # bits of the message control header, PS3.8 E.2
HEADER, ITEM = struct.Struct(">BxL"), struct.Struct(">LBB")
LONGEST_COMMAND = 1 << 16  # bytes of a command set, PS3.7: a few hundred
LONGEST_SENT = 1 << 17  # bytes of a PDU that we send, whatever more (0: anything) the peer would take
_OVERHEAD = ITEM.size


class InvalidPDU(Exception):
    """A received PDU is none of PS3.8, or not allowed at this point."""


def capacity(maximum_length: int) -> int:
    """Bytes of a message that one PDU carries, an even number; 0 where the peer takes none.

    Parameters
    ----------
    maximum_length
        Maximum Length Received of the peer (PS3.8 D.1); 0 is no limit.
    """
    return max(0, min(maximum_length or LONGEST_SENT, LONGEST_SENT) - _OVERHEAD) & ~1


def opening(length: int, context_id: int, control: int) -> bytes:
    """What stands before `length` bytes of a message in a PDU that holds nothing else."""
    return HEADER.pack(P_DATA, length + _OVERHEAD) + ITEM.pack(length + 2, context_id, control)


def cut(
    message: memoryview, context_id: int, size: int, control: int, *, ends: bool = True
) -> Iterator[bytes | memoryview]:
    """Openings and pieces, in turn, of PDUs that carry `message`; an empty one has one empty piece.

    Parameters
    ----------
    size
        Most bytes of a piece: `capacity` of the peer's maximum length.
    control
        COMMAND or 0.
    ends
        Whether nothing of the message follows; else its length is a multiple of `size`.
    """
    middle = opening(size, context_id, control)
    whole = max(0, len(message) - 1) // size * size if ends else len(message)
    for at in range(0, whole, size):
        yield middle
        yield message[at : at + size]
    if ends:
        yield opening(len(message) - whole, context_id, control | LAST)
        yield message[whole:]


def values(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Context ID, message control header and data of each value in the body of a P-DATA-TF.

    Raises
    ------
    InvalidPDU
        A value has no header, or reaches beyond the PDU.
    """
    at = 0
    while at < len(body):
        if len(body) - at < _OVERHEAD:
            raise InvalidPDU("a presentation data value has no header")
        length, context_id, control = ITEM.unpack_from(body, at)
        end = at + 4 + length
        if length < 2 or end > len(body):
            raise InvalidPDU("a presentation data value reaches beyond its PDU")
        yield context_id, control, body[at + _OVERHEAD : end]
        at = end
