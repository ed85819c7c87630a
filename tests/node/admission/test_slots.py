"""Room at the door: nobody is kept out by those who are silent, and nothing grows."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from node.admission.slots import Places, Visitor

Arrive = Callable[[str], tuple[Visitor, socket.socket]]


@pytest.fixture
def visitor() -> Iterator[Arrive]:
    """A connection's two ends."""
    with ExitStack() as stack:

        def visitor(address: str) -> tuple[Visitor, socket.socket]:
            ours, theirs = (stack.enter_context(one) for one in socket.socketpair())
            return Visitor(ours, address, 5.0), theirs

        yield visitor


def test_the_oldest_of_the_busiest_address_makes_room(visitor: Arrive) -> None:
    places = Places(3, 1, 1)
    quiet, _ = visitor("10.0.0.1")
    first, first_end = visitor("10.0.0.2")
    second, second_end = visitor("10.0.0.2")
    assert [places.arrive(one) for one in (quiet, first, second)] == [None] * 3
    newcomer, _ = visitor("10.0.0.3")
    assert places.arrive(newcomer) is first
    assert first_end.recv(1) == b""
    with pytest.raises(EOFError):
        first.exactly(1)
    second_end.sendall(b"x")
    assert second.exactly(1) == b"x"


def test_one_address_only_turns_itself_away(visitor: Arrive) -> None:
    places = Places(3, 1, 1)
    good, _ = visitor("10.0.0.1")
    places.arrive(good)
    gone = [places.arrive(visitor("10.0.0.2")[0]) for _ in range(20)]
    assert good not in gone
    assert sum(one is not None for one in gone) == 18


def test_who_left_takes_no_room(visitor: Arrive) -> None:
    places = Places(1, 1, 1)
    for _ in range(3):
        one, _ = visitor("10.0.0.1")
        assert places.arrive(one) is None
        places.leave(one)


def test_seats_are_counted_for_all_and_for_each() -> None:
    places = Places(1, 3, 2)
    assert [places.sit("A"), places.sit("A")] == ["", ""]
    assert places.sit("A") == "limits.associations_per_peer = 2"
    assert places.sit("B") == ""
    assert places.sit("C") == "node.max_associations = 3"
    places.rise("A")
    assert places.sit("C") == ""


def test_a_visitor_has_one_deadline_for_all_that_it_says() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        visitor = Visitor(ours, "10.0.0.1", 0.2)
        theirs.sendall(b"ab")
        assert visitor.exactly(2) == b"ab"
        with pytest.raises(TimeoutError):
            visitor.exactly(1)
        with pytest.raises(TimeoutError):
            _ = visitor.seconds_left


def test_closing_the_door_turns_everybody_away(visitor: Arrive) -> None:
    places = Places(3, 1, 1)
    one, end = visitor("10.0.0.1")
    places.arrive(one)
    places.close()
    assert end.recv(1) == b""
