"""Room for callers: those that wait at the door, and associations. Both are counted, neither grows."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from contextlib import suppress


class Visitor:
    """A connection that is no association yet; all that it has to say must come before a deadline."""

    def __init__(self, sock: socket.socket, address: str, seconds: float) -> None:
        self.sock, self.address = sock, address
        self._until = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        """Until the deadline; TimeoutError after it."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def exactly(self, count: int) -> bytes:
        """The next `count` bytes and not one more.

        Raises
        ------
        EOFError
            It closed the connection before.
        TimeoutError
            The deadline passed.
        """
        data = bytearray()
        while len(data) < count:
            self.sock.settimeout(self.seconds_left)
            more = self.sock.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return bytes(data)

    def drain(self, most: int) -> None:
        """Let go of what still comes until it closes, so that it can read our answer; `most` bytes of it."""
        with suppress(OSError, TimeoutError):
            while most > 0:
                self.sock.settimeout(self.seconds_left)
                most -= len(more := self.sock.recv(1 << 12))
                if not more:
                    return

    def turn_away(self) -> None:
        """End the connection from another thread: whoever reads it sees its end."""
        with suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # of TLS, too: no word more, no waiting for one


class Places:
    """Who waits and who sits; safe to use from every connection's thread.

    Parameters
    ----------
    waiting
        Connections that may wait. Where there are more the oldest of the address that has the most of them goes: so
        a newcomer is never kept out by those who are silent, and who opens many only turns himself away.
    seats, seats_per_peer
        Associations, of all and of one peer.
    """

    def __init__(self, waiting: int, seats: int, seats_per_peer: int) -> None:
        self._lock = threading.Lock()
        self._most_waiting, self._seats, self._seats_per_peer = waiting, seats, seats_per_peer
        self._waiting: dict[Visitor, None] = {}
        self._seated = Counter[str]()

    def arrive(self, visitor: Visitor) -> Visitor | None:
        """Let a connection wait; who had to go for it, if anybody."""
        with self._lock:
            self._waiting[visitor] = None
            if len(self._waiting) <= self._most_waiting:
                return None
            held = Counter(one.address for one in self._waiting)
            most = max(held.values())
            gone = next(one for one in self._waiting if held[one.address] == most)
            del self._waiting[gone]
        gone.turn_away()
        return gone

    def leave(self, visitor: Visitor) -> None:
        """It waits no more."""
        with self._lock:
            self._waiting.pop(visitor, None)

    def sit(self, peer: str) -> str:
        """Take a seat for an association; else the setting that there is none by, and nothing is taken."""
        with self._lock:
            if self._seated.total() >= self._seats:
                return f"node.max_associations = {self._seats}"
            if self._seated[peer] >= self._seats_per_peer:
                return f"limits.associations_per_peer = {self._seats_per_peer}"
            self._seated[peer] += 1
            return ""

    def rise(self, peer: str) -> None:
        """The association is over."""
        with self._lock:
            self._seated[peer] -= 1
            if not self._seated[peer]:
                del self._seated[peer]

    def close(self) -> None:
        """Turn away all that wait."""
        with self._lock:
            waiting = tuple(self._waiting)
        for visitor in waiting:
            visitor.turn_away()
