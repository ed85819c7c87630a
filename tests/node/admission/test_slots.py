"""Pending connections: silent callers keep nobody out, and nothing grows."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from node.admission.slots import ConnectionSlots, PendingConnection

Connect = Callable[[str], tuple[PendingConnection, socket.socket]]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """A connection's two ends."""
    with ExitStack() as stack:

        def connect(address: str) -> tuple[PendingConnection, socket.socket]:
            ours, theirs = (stack.enter_context(one) for one in socket.socketpair())
            return PendingConnection(ours, address, 5.0), theirs

        yield connect


def test_the_oldest_of_the_busiest_address_makes_room(connect: Connect) -> None:
    slots = ConnectionSlots(3)
    quiet, _ = connect("10.0.0.1")
    first, first_end = connect("10.0.0.2")
    second, second_end = connect("10.0.0.2")
    assert [slots.acquire(one) for one in (quiet, first, second)] == [None] * 3
    newcomer, _ = connect("10.0.0.3")
    assert slots.acquire(newcomer) is first
    assert first_end.recv(1) == b""
    with pytest.raises(EOFError):
        first.exactly(1)
    second_end.sendall(b"x")
    assert second.exactly(1) == b"x"


def test_one_address_only_drops_its_own(connect: Connect) -> None:
    slots = ConnectionSlots(3)
    good, _ = connect("10.0.0.1")
    slots.acquire(good)
    dropped = [slots.acquire(connect("10.0.0.2")[0]) for _ in range(20)]
    assert good not in dropped
    assert sum(one is not None for one in dropped) == 18


def test_a_released_slot_is_free(connect: Connect) -> None:
    slots = ConnectionSlots(1)
    for _ in range(3):
        one, _ = connect("10.0.0.1")
        assert slots.acquire(one) is None
        slots.release(one)


def test_a_pending_connection_has_one_deadline_for_all_that_it_sends() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = PendingConnection(ours, "10.0.0.1", 0.2)
        theirs.sendall(b"ab")
        assert connection.exactly(2) == b"ab"
        with pytest.raises(TimeoutError):
            connection.exactly(1)
        with pytest.raises(TimeoutError):
            _ = connection.deadline.seconds_left


def test_closing_drops_all_that_wait(connect: Connect) -> None:
    slots = ConnectionSlots(3)
    one, end = connect("10.0.0.1")
    slots.acquire(one)
    slots.close()
    assert end.recv(1) == b""
