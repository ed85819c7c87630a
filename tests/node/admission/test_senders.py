from __future__ import annotations

from node.admission.senders import Ended, Senders
from node.dispatch.completeness import ABORTED, RELEASED, UNKNOWN


def test_a_study_is_being_sent_until_its_last_association_ends() -> None:
    released: list[frozenset[str]] = []
    senders = Senders(released.append)
    senders.brought("one", "1.1")
    senders.brought("one", "1.2")
    senders.brought("two", "1.1")
    senders.end("one", RELEASED)
    assert (senders.is_sending("1.1"), senders.is_sending("1.2")) == (True, False)
    senders.end("two", ABORTED)
    assert not senders.is_sending("1.1")
    assert released == [frozenset({"1.1", "1.2"}), frozenset({"1.1"})]


def test_an_end_said_twice_or_of_nothing_is_told_once() -> None:
    released: list[frozenset[str]] = []
    senders = Senders(released.append)
    senders.brought("one", "1.1")
    for association in ("one", "one", "echo only"):
        senders.end(association, ABORTED)
    assert released == [frozenset({"1.1"})]


def test_the_end_is_remembered_until_forgotten() -> None:
    senders = Senders(clock=lambda: 7.0)
    assert senders.ended("1.1") == Ended(0.0, UNKNOWN)
    senders.brought("one", "1.1")
    senders.end("one", RELEASED)
    senders.end("one", ABORTED)  # the connection closes after the release
    senders.keep_only({"1.1"})
    assert senders.ended("1.1") == Ended(7.0, RELEASED)
    senders.keep_only(set())
    assert senders.ended("1.1") == Ended(0.0, UNKNOWN)
