"""Bytes of one socket, read into one buffer within a deadline."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

BUFFER = 1 << 18
MOMENT = 0.5  # seconds after which a reader looks whether it shall stop


class Reader:
    """Bytes of one socket, each of whose PDUs must come whole within a time."""

    def __init__(self, seconds: float | None, stopped: Callable[[], bool]) -> None:
        self.seconds = seconds
        self._stopped = stopped
        self._buffer = memoryview(bytearray(BUFFER))
        self._start = self._end = 0
        self._deadline = 0.0

    @property
    def pending(self) -> bool:
        """Whether bytes were read that nobody took yet."""
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
            self._start, self._end = 0, self._received(sock)
        taken = self._buffer[self._start : min(self._end, self._start + limit)]
        self._start += len(taken)
        return taken

    def _received(self, sock: socket.socket) -> int:
        """Bytes now in the buffer; 0 after a moment in which none came."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the PDU did not come whole in time")
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
        whole = bytearray(first)
        while len(whole) < count:
            whole += self.some(sock, count - len(whole))
        return bytes(whole)
