from __future__ import annotations

from node.senders import Senders


def test_a_study_is_being_sent_until_its_last_association_ends() -> None:
    released: list[frozenset[str]] = []
    senders = Senders(released.append)
    senders.brought("one", "1.1")
    senders.brought("one", "1.2")
    senders.brought("two", "1.1")
    senders.ended("one")
    assert (senders.is_sending("1.1"), senders.is_sending("1.2")) == (True, False)
    senders.ended("two")
    assert not senders.is_sending("1.1")
    assert released == [frozenset({"1.1", "1.2"}), frozenset({"1.1"})]


def test_an_end_said_twice_or_of_nothing_is_told_once() -> None:
    released: list[frozenset[str]] = []
    senders = Senders(released.append)
    senders.brought("one", "1.1")
    for association in ("one", "one", "echo only"):
        senders.ended(association)
    assert released == [frozenset({"1.1"})]


def test_the_end_is_remembered_until_forgotten() -> None:
    senders = Senders()
    assert senders.ended_at("1.1") == 0.0
    senders.brought("one", "1.1")
    senders.ended("one")
    assert senders.ended_at("1.1") > 0.0
    senders.keep_only({"1.1"})
    assert senders.ended_at("1.1") > 0.0
    senders.keep_only(set())
    assert senders.ended_at("1.1") == 0.0
