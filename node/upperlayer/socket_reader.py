"""Bytes of a socket within a deadline: exactly so many and not one more, or read ahead into one buffer."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from functools import partial

BUFFER = 1 << 18
MOMENT = 0.5  # seconds after which a reader checks whether it has to stop


class Deadline:
    """So many seconds from now; None is no limit."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def seconds_left(self) -> float | None:
        """Never 0, which a socket takes for "do not wait"; TimeoutError after the deadline."""
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline passed")
        return left


def receive(sock: socket.socket, deadline: Deadline, count: int) -> bytes:
    """The next bytes, at most `count`; none where the peer closed the connection, TimeoutError after the deadline."""
    sock.settimeout(deadline.seconds_left)
    return sock.recv(count)


def read_exactly(receive: Callable[[int], bytes | memoryview], count: int) -> bytes:
    """The next `count` bytes of what `receive` returns at most so many of; EOFError where it returns none."""
    whole = bytearray()
    while len(whole) < count:
        more = receive(count - len(whole))
        if not more:
            raise EOFError("the peer closed the connection")
        whole += more
    return bytes(whole)


class SocketReader:
    """Bytes of one socket, each of whose PDUs must arrive whole within a time."""

    def __init__(self, seconds: float | None, stopped: Callable[[], bool]) -> None:
        self.seconds = seconds
        self._stopped = stopped
        self._buffer = memoryview(bytearray(BUFFER))
        self._start = self._end = 0
        self._deadline = 0.0

    @property
    def pending(self) -> bool:
        """Whether bytes are in the buffer that nobody took yet."""
        return self._start < self._end

    def begin(self) -> None:
        """A PDU begins."""
        self._deadline = time.monotonic() + (self.seconds or float("inf"))

    def some(self, sock: socket.socket, limit: int) -> memoryview:
        """The next bytes, at least one and at most `limit`; the next call may write over them.

        Raises
        ------
        EOFError
            The peer closed the connection.
        TimeoutError
            The PDU took too long.
        """
        while not self.pending:
            self._start, self._end = 0, self._fill(sock)
        taken = self._buffer[self._start : min(self._end, self._start + limit)]
        self._start += len(taken)
        return taken

    def _fill(self, sock: socket.socket) -> int:
        """Number of bytes now in the buffer; 0 after a moment without any."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the PDU did not arrive whole in time")
        sock.settimeout(min(left, MOMENT))
        try:
            count = sock.recv_into(self._buffer)
        except TimeoutError:
            if self._stopped():
                raise EOFError("the association ends here") from None
            return 0
        if not count:
            raise EOFError("the peer closed the connection")
        return count

    def exactly(self, sock: socket.socket, count: int) -> bytes:
        """The next `count` bytes."""
        first = self.some(sock, count)
        if len(first) == count:
            return bytes(first)
        return bytes(first) + read_exactly(partial(self.some, sock), count - len(first))
