"""Peers that hang, each in its own way: they listen on 127.0.0.1 and end with the test."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import TypeVar

from node.settings import Peer, Tls
from node.tls.contexts import client_context, server_context
from tests.node.rawpeer import Said, accepting

T = TypeVar("T")
Behaviour = Callable[[Said, Event], None]
BUFFER = 4096  # bytes that the kernel takes for a peer that does not read


def crawls(said: Said, over: Event) -> None:
    """Accepts the association, and reads one byte a second (here: a tenth of one)."""
    said.sock.sendall(accepting(said.pdu()[1], 16384))
    while not over.wait(0.1):
        if not said.sock.recv(1):
            return


def dribbles(said: Said, over: Event) -> None:
    """Answers the request for an association byte by byte."""
    for byte in accepting(said.pdu()[1], 16384):
        said.sock.sendall(bytes([byte]))
        if over.wait(0.3):
            return


def never_answers(_said: Said, over: Event) -> None:
    """Accepts the connection, and no more."""
    over.wait(60)


def keeps_the_release(said: Said, over: Event) -> None:
    """Takes all instances, and does not answer the release."""
    said.sock.sendall(accepting(said.pdu()[1], 16384))
    while not over.is_set():
        said.take()


class SlowTls:
    """TLS of one side over a socket; what is `slow` leaves byte by byte, ten a second."""

    def __init__(self, sock: socket.socket, tls: Tls, over: Event, *, server: bool) -> None:
        self._sock, self._over = sock, over
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context, name = (server_context(tls), None) if server else (client_context(tls), "127.0.0.1")
        self._tls = context.wrap_bio(self._in, self._out, server_side=server, server_hostname=name)

    def shake_hands(self, *, slow: bool) -> None:
        self._do(self._tls.do_handshake, slow=slow)
        self._flush(slow=slow)

    def read(self) -> bytes:
        return self._do(lambda: self._tls.read(1 << 16), slow=False)

    def write(self, data: bytes, *, slow: bool) -> None:
        self._tls.write(data)
        self._flush(slow=slow)

    def _do(self, step: Callable[[], T], *, slow: bool) -> T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._flush(slow=slow)
                if not (received := self._sock.recv(1 << 16)):
                    raise EOFError from None
                self._in.write(received)

    def _flush(self, *, slow: bool) -> None:
        data = self._out.read()
        if not slow:
            self._sock.sendall(data)
            return
        for byte in data:
            self._sock.sendall(bytes([byte]))
            if self._over.wait(0.1):
                raise EOFError


def crawls_in_the_handshake(tls: Tls) -> Behaviour:
    """Accepts the connection, and shakes hands byte by byte."""
    return lambda said, over: SlowTls(said.sock, tls, over, server=True).shake_hands(slow=True)


def crawls_behind_the_handshake(tls: Tls, answer: Callable[[bytes], bytes]) -> Behaviour:
    """Shakes hands at once, and answers byte by byte."""

    def behaviour(said: Said, over: Event) -> None:
        end = SlowTls(said.sock, tls, over, server=True)
        end.shake_hands(slow=False)
        end.write(answer(end.read()), slow=True)

    return behaviour


def takes_nothing_behind_the_handshake(tls: Tls, answer: Callable[[bytes], bytes]) -> Behaviour:
    """Shakes hands and answers at once, then reads a byte now and then."""

    def behaviour(said: Said, over: Event) -> None:
        end = SlowTls(said.sock, tls, over, server=True)
        end.shake_hands(slow=False)
        end.write(answer(end.read()), slow=False)
        while not over.wait(0.1):
            if not said.sock.recv(1):
                return

    return behaviour


@contextmanager
def hanging(behaviour: Behaviour) -> Iterator[Peer]:
    """Such a peer, for any number of connections."""
    over, threads = Event(), list[Thread]()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError, EOFError, AssertionError):
            connection.settimeout(60)
            behaviour(Said(connection), over)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threads.append(Thread(target=serve, args=[listener.accept()[0]], daemon=True))
                threads[-1].start()

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        accepting_thread = Thread(target=accept, daemon=True)
        accepting_thread.start()
        try:
            yield Peer(ae_title="SLOW", host="127.0.0.1", port=listener.getsockname()[1], receive=("results",))
        finally:
            over.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
    until = time.monotonic() + 10
    for thread in [accepting_thread, *threads]:
        thread.join(max(until - time.monotonic(), 0))
