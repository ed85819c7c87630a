"""Connections that are no association yet: each has a deadline, and only so many may wait at once."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from contextlib import suppress
from functools import partial

from node.upperlayer.socket_reader import Deadline, read_exactly, receive


class PendingConnection:
    """A connection before its association; whatever the caller sends has to arrive within one deadline."""

    def __init__(self, sock: socket.socket, address: str, seconds: float) -> None:
        self.sock, self.address, self.deadline = sock, address, Deadline(seconds)

    def exactly(self, count: int) -> bytes:
        """The next `count` bytes and not one more; EOFError, TimeoutError as `read_exactly` and `receive`."""
        return read_exactly(partial(receive, self.sock, self.deadline), count)

    def drain(self, most: int) -> None:
        """Discard what still arrives until the caller closes, so that it can read our answer; `most` bytes of it."""
        with suppress(OSError, TimeoutError):
            while most > 0 and (data := receive(self.sock, self.deadline, 1 << 12)):
                most -= len(data)

    def drop(self) -> None:
        """End the connection from another thread: whoever reads it sees its end."""
        with suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # of TLS, too: no further message, no wait for one


class ConnectionSlots:
    """Limits pending connections; safe to use from every connection's thread.

    Parameters
    ----------
    most
        Connections that may wait. Where there are more the least recently active of the address that has the most of
        them is dropped: silent callers never keep a new one out, and whoever opens many connections drops only his own.
    """

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._pending: dict[PendingConnection, None] = {}

    def acquire(self, connection: PendingConnection) -> PendingConnection | None:
        """Take a slot; the connection that was dropped for it, if any."""
        with self._lock:
            self._pending[connection] = None
            if len(self._pending) <= self._most:
                return None
            held = Counter(one.address for one in self._pending)
            most = max(held.values())
            dropped = next(one for one in self._pending if held[one.address] == most)
            del self._pending[dropped]
        dropped.drop()
        return dropped

    def touch(self, connection: PendingConnection) -> None:
        """The connection is active."""
        with self._lock:
            if self._pending.pop(connection, self) is None:
                self._pending[connection] = None

    def release(self, connection: PendingConnection) -> None:
        """Free its slot."""
        with self._lock:
            self._pending.pop(connection, None)

    def close(self) -> None:
        """Drop all connections that wait."""
        with self._lock:
            pending = tuple(self._pending)
        for connection in pending:
            connection.drop()
