"""The Minimal Lower Layer Protocol: one message a block, <VT> message <FS> <CR> (HL7 v2 transport, MLLP release 1)."""

from __future__ import annotations

import time
from collections.abc import Callable

START, END = b"\x0b", b"\x1c\x0d"
_PORTION = 65536


class BadBlock(OSError):
    """A block that is not whole or too large; the connection is of no further use."""


def block(message: bytes) -> bytes:
    """The message as a block."""
    return START + message + END


class Blocks:
    """Blocks that are received over a connection.

    Parameters
    ----------
    receive
        `recv` of the connection: at most so many bytes, none at its end.
    most
        Bytes that a message may have.
    """

    def __init__(self, receive: Callable[[int], bytes], most: int) -> None:
        self._receive, self._most = receive, most
        self._bytes = bytearray()  # nothing, or what begins with START
        self._searched = 0  # bytes of it in which no END begins

    def read(self) -> bytes | None:
        """The next message; None where the peer has ended the connection between two blocks.

        Bytes between blocks (line ends, blanks that some senders write to keep the line open) are passed over.

        Raises
        ------
        BadBlock
            The connection ended in the middle, or the message has more bytes than it may have.
        """
        while (message := self._taken()) is None:
            if len(self._bytes) > self._most:
                raise BadBlock(f"a message of more than {self._most} bytes")
            more = self._receive(_PORTION)
            if not more and self._bytes:
                raise BadBlock("the connection ended in the middle of a message")
            if not more:
                return None
            self._bytes += more
        return message

    def _taken(self) -> bytes | None:
        begin = self._bytes.find(START)
        del self._bytes[: begin if begin >= 0 else len(self._bytes)]
        end = self._bytes.find(END, self._searched)
        if end < 0:
            self._searched = max(len(self._bytes) - len(END) + 1, 0)
            return None
        message = bytes(self._bytes[len(START) : end])
        del self._bytes[: end + len(END)]
        self._searched = 0
        return message


class Deadline:
    """So many seconds from now; `left` is never 0, which would mean "do not wait" or "for ever"."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._end = clock, clock() + seconds

    def left(self) -> float:
        """Seconds that are left.

        Raises
        ------
        TimeoutError
            There are none.
        """
        left = self._end - self._clock()
        if left <= 0:
            raise TimeoutError("no answer in time")
        return left
