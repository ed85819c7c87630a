"""The Minimal Lower Layer Protocol: one message a block, <VT> message <FS> <CR> (HL7 v2 transport, MLLP release 1)."""

from __future__ import annotations

from collections.abc import Callable

START, END = b"\x0b", b"\x1c"  # what follows FS is between two blocks, CR and whatever else some senders write there
_PORTION = 65536
_HEAD = 4096  # bytes of a message that is too large: its MSH segment


class BadBlock(OSError):
    """A block that is not whole or too large.

    Attributes
    ----------
    content
        What there is of it, its first bytes where it is too large.
    cut_off
        It is not whole, and may be sent again.
    """

    def __init__(self, text: str, content: bytes, *, cut_off: bool = True) -> None:
        super().__init__(text)
        self.content, self.cut_off = content, cut_off


def block(message: bytes) -> bytes:
    """The message as a block."""
    return START + message + END + b"\r"


class Blocks:
    """Blocks that are received over a connection.

    Parameters
    ----------
    receive
        `recv` of the connection: at most so many bytes, none at its end.
    most
        Bytes that a message may have.
    begins
        Called when a block begins.
    """

    def __init__(self, receive: Callable[[int], bytes], most: int, begins: Callable[[], object] = lambda: None) -> None:
        self._receive, self._most, self._begins = receive, most, begins
        self._bytes = bytearray()  # nothing, or what begins with START
        self._searched = 0  # bytes of it that hold neither END nor another START
        self._head = b""  # of a message that is too large, the rest of which is discarded

    def read(self) -> bytes | None:
        """The next message; None where the peer has ended the connection between two blocks.

        Bytes between blocks (line ends, blanks that some senders write to keep the line open) are passed over.

        Raises
        ------
        BadBlock
            The message has more bytes than it may have, a new one begins in it, it does not arrive whole in time, or
            the connection ended in it. The next message can be read.
        TimeoutError
            `receive` raised it between two blocks.
        """
        while (message := self._taken()) is None:
            try:
                more = self._receive(_PORTION)
            except TimeoutError as error:
                if not self._bytes:
                    raise
                raise self._bad("the message did not arrive whole in time", len(self._bytes)) from error
            if not more and self._bytes:
                raise self._bad("the connection ended in the middle of a message", len(self._bytes))
            if not more:
                return None
            self._bytes += more
        return message

    def _taken(self) -> bytes | None:
        if not self._searched:
            begin = self._bytes.find(START)
            del self._bytes[: begin if begin >= 0 else len(self._bytes)]
            if not self._bytes:
                return None
            self._searched = len(START)
            self._begins()
        end = self._bytes.find(END, self._searched)
        again = self._bytes.find(START, self._searched, end if end >= 0 else len(self._bytes))
        if again >= 0:
            raise self._bad("a new message begins before its end", again)
        if end >= 0 and (self._head or end - len(START) > self._most):
            raise self._bad(f"a message of more than {self._most} bytes", end + len(END), cut_off=False)
        if end >= 0:
            message = self._content(end)
            self._go_on(end + len(END))
            return message
        self._searched = len(self._bytes)
        if len(self._bytes) - len(START) > self._most:
            self._head = self._content()[:_HEAD]
            del self._bytes[len(START) :]
            self._searched = len(START)
        return None

    def _content(self, end: int | None = None) -> bytes:
        return self._head or bytes(self._bytes[len(START) : end])

    def _bad(self, text: str, end: int, *, cut_off: bool = True) -> BadBlock:
        bad = BadBlock(text, self._content(end)[:_HEAD], cut_off=cut_off)
        self._go_on(end)
        return bad

    def _go_on(self, end: int) -> None:
        del self._bytes[:end]
        self._searched, self._head = 0, b""
