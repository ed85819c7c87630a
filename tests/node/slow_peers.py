"""Peers that hang, each in its own way: they listen on 127.0.0.1 and end with the test."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from node.settings import Peer
from tests.node.rawpeer import Said, accepting

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


@contextmanager
def hanging(behaviour: Callable[[Said, Event], None]) -> Iterator[Peer]:
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
