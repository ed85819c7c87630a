"""How the processes that analyse stand; the clock is given."""

from __future__ import annotations

from node.ledger import workers
from node.ledger.engine import Ledger
from node.ledger.workers import BEAT, Readiness, WorkerState

NOW = 1000.0


def beat(ledger: Ledger, now: float = NOW, reason: str = "", name: str = "here:1") -> None:
    with ledger.write() as connection:
        workers.beat(connection, name, now, ready=not reason, reason=reason)


def states(ledger: Ledger, now: float = NOW) -> list[WorkerState]:
    with ledger.read() as connection:
        return list(workers.states(connection, now))


def test_a_worker_says_how_it_stands_and_since_when(ledger: Ledger) -> None:
    beat(ledger)
    assert states(ledger) == [WorkerState("here:1", Readiness.READY, "", NOW)]
    beat(ledger, NOW + BEAT, "no GPU")
    beat(ledger, NOW + 2 * BEAT, "no GPU")
    assert states(ledger, NOW + 2 * BEAT) == [WorkerState("here:1", Readiness.NOT_READY, "no GPU", NOW + BEAT)]


def test_one_that_says_nothing_any_more_is_gone_and_in_the_end_forgotten(ledger: Ledger) -> None:
    beat(ledger, reason="it loads its model packages")
    assert states(ledger, NOW + 2 * BEAT)[0].readiness is Readiness.NOT_READY
    beat(ledger, NOW + BEAT, reason="it loads its model packages")
    assert states(ledger, NOW + 6 * BEAT) == [WorkerState("here:1", Readiness.GONE, "", NOW + BEAT)]
    beat(ledger, NOW + 3600, name="here:2")
    assert [one.name for one in states(ledger, NOW + 3600)] == ["here:2"]


def test_one_that_ended_as_it_should_is_not_missed(ledger: Ledger) -> None:
    beat(ledger)
    with ledger.write() as connection:
        workers.forget(connection, "here:1")
    assert states(ledger) == []


def test_whether_another_can_do_it(ledger: Ledger) -> None:
    beat(ledger)
    beat(ledger, reason="no GPU", name="here:2")
    with ledger.read() as connection:
        assert workers.another_is_ready(connection, "here:2", NOW)
        assert not workers.another_is_ready(connection, "here:1", NOW)
        assert not workers.another_is_ready(connection, "here:2", NOW + 5 * BEAT)
