from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, select

from node.errors import OutOfResources
from node.ledger import engine as ledger_module
from node.ledger.engine import Ledger, note
from node.ledger.group_commit import GroupCommit
from node.ledger.tables import EVENT, STUDY


class Counted:
    """A ledger's transactions, counted."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.count = 0

    @contextmanager
    def __call__(self) -> Iterator[Connection]:
        self.count += 1
        with self._ledger.write() as connection:
            yield connection


def _told(connection: Connection, name: str) -> str:
    note(connection, "1.2.3", 0.0, "test", name)
    return name


def _notes(ledger: Ledger) -> set[str]:
    with ledger.read() as connection:
        return set(connection.execute(select(EVENT.c.detail)).scalars())


def test_those_who_wait_go_into_one_transaction(ledger: Ledger) -> None:
    transactions = Counted(ledger)
    group, begun, go_on = GroupCommit(transactions), threading.Event(), threading.Event()

    def first(connection: Connection) -> str:
        begun.set()
        assert go_on.wait(60)
        return _told(connection, "first")

    with ThreadPoolExecutor(9) as threads:
        answers: list[Future[str]] = [threads.submit(group.write, first)]
        assert begun.wait(60)
        for number in range(8):
            answers.append(threads.submit(group.write, lambda connection, name=str(number): _told(connection, name)))
        while len(group._waiting) < 8:
            pass
        go_on.set()
        assert [one.result() for one in answers] == ["first", *map(str, range(8))]
    assert transactions.count == 2
    assert _notes(ledger) == {"first", *map(str, range(8))}


def test_one_that_fails_does_not_touch_the_others(ledger: Ledger) -> None:
    group, begun, go_on = GroupCommit(ledger.write), threading.Event(), threading.Event()

    def first(_connection: Connection) -> None:
        begun.set()
        assert go_on.wait(60)

    def wrong(connection: Connection) -> None:
        _told(connection, "wrong")
        connection.execute(STUDY.insert().values(study_instance_uid="1"))  # columns are missing

    with ThreadPoolExecutor(4) as threads:
        held = threads.submit(group.write, first)
        assert begun.wait(60)
        good = threads.submit(group.write, lambda connection: _told(connection, "good"))
        bad = threads.submit(group.write, wrong)
        better = threads.submit(group.write, lambda connection: _told(connection, "better"))
        while len(group._waiting) < 3:
            pass
        go_on.set()
        held.result()
        assert (good.result(), better.result()) == ("good", "better")
        with pytest.raises(OutOfResources, match="IntegrityError"):
            bad.result()
    assert _notes(ledger) == {"good", "better"}


def test_where_the_ledger_takes_nothing_all_hear_so_at_once(ledger: Ledger) -> None:
    begun, go_on, tries = threading.Event(), threading.Event(), list[int]()

    @contextmanager
    def locked() -> Iterator[Connection]:
        tries.append(len(group._waiting))
        if len(tries) > 1:
            raise OutOfResources("the ledger did not take a write: it is locked")
        with ledger.write() as connection:
            yield connection

    group = GroupCommit(locked)

    def first(_connection: Connection) -> None:
        begun.set()
        assert go_on.wait(60)

    with ThreadPoolExecutor(4) as threads:
        held = threads.submit(group.write, first)
        assert begun.wait(60)
        waiting = [threads.submit(group.write, lambda connection: _told(connection, "late")) for _ in range(3)]
        while len(group._waiting) < 3:
            pass
        go_on.set()
        held.result()
        for one in waiting:
            with pytest.raises(OutOfResources, match="locked"):
                one.result()
    assert len(tries) == 2
    assert _notes(ledger) == set()


def test_threads_of_one_process_take_turns_and_none_waits_for_ever(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "_BUSY_SECONDS", 0.05)
    with ThreadPoolExecutor(1) as threads, ledger.write():
        waiting = threads.submit(ledger.grouped.write, lambda connection: _told(connection, "late"))
        with pytest.raises(OutOfResources, match="another one of this process takes too long"):
            waiting.result()
    assert ledger.grouped.write(lambda connection: _told(connection, "then")) == "then"
    assert _notes(ledger) == {"then"}
