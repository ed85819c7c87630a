"""A receiver that fails again and again is only probed; the clock is given."""

from __future__ import annotations

import pytest

from node.admin.retry import retry
from node.ledger import clock
from node.ledger.engine import Ledger
from node.receiving import instances
from node.sending import circuits, deliveries
from tests.node.phantoms import result, stored

NOW = 1000.0
STUDIES = [f"1.2.{number}" for number in range(6)]


@pytest.fixture
def waiting(ledger: Ledger) -> Ledger:
    """An object of each study is due for two peers."""
    with ledger.write() as connection:
        for number, uid in enumerate(STUDIES):
            instances.record_instance(connection, stored(f"1.9.{number}", study_instance_uid=uid), "MODALITY", NOW)
            deliveries.put(connection, uid, 1, [result(f"2.25.{number}")], ["pacs", "reader"], NOW)
    return ledger


def fail(ledger: Ledger, uid: str, now: float = NOW, peer: str = "pacs") -> bool:
    """One attempt that fails; whether it opened the circuit."""
    with ledger.write() as connection:
        for row in deliveries.claim(connection, uid, peer, now):
            deliveries.record_sent(connection, row, peer, "it does not answer", now)
        return circuits.record_failure(connection, peer, uid, "it does not answer", now)


def opened(ledger: Ledger, now: float = NOW) -> None:
    assert [fail(ledger, uid, now) for uid in STUDIES[:3]] == [False, False, True]


def due(ledger: Ledger, now: float) -> set[tuple[str, str]]:
    with ledger.read() as connection:
        return set(deliveries.due(connection, now, now))


def next_study(ledger: Ledger, now: float, peer: str = "pacs") -> str | None:
    with ledger.read() as connection:
        return deliveries.next_study(connection, peer, now)


def probe_at(ledger: Ledger) -> float:
    with ledger.read() as connection:
        (row,) = circuits.open_circuits(connection)
    return float(row["probe_at"])


def test_after_three_failures_in_a_row_its_jobs_wait_and_those_of_others_do_not(waiting: Ledger) -> None:
    opened(waiting)
    assert due(waiting, NOW + 1) == {(uid, "reader") for uid in STUDIES}
    assert next_study(waiting, NOW + 1) is None
    assert next_study(waiting, NOW + 1, "reader") is not None
    with waiting.write() as connection:
        assert deliveries.claim(connection, STUDIES[3], "pacs", NOW + 1) == ()
        assert deliveries.claim(connection, STUDIES[3], "reader", NOW + 1)


def test_one_probe_at_a_time_and_the_pauses_grow(waiting: Ledger) -> None:
    opened(waiting)
    now, pauses = NOW, []
    for _ in range(8):
        pauses.append(probe_at(waiting) - now)
        now = probe_at(waiting)
        uid = next_study(waiting, now)
        assert uid is not None
        with waiting.write() as connection:
            assert deliveries.claim(connection, uid, "pacs", now)
            assert all(deliveries.claim(connection, other, "pacs", now) == () for other in STUDIES)
            (row,) = deliveries.claim(connection, uid, "pacs", now + 100) or (None,)  # its worker died
            assert row is not None
            deliveries.record_sent(connection, row, "pacs", "", now)
            circuits.record_failure(connection, "pacs", uid, "it does not answer", now)
            deliveries.put(connection, uid, 1, [result(f"2.25.{now}")], ["pacs"], now)
    assert 0.75 * 5 <= pauses[0] <= 1.25 * 5
    assert 0.75 * 15 <= pauses[1] <= 1.25 * 15
    assert all(0.75 * circuits.LONGEST_PAUSE <= pause <= 1.25 * circuits.LONGEST_PAUSE for pause in pauses[5:])


def test_a_new_study_is_the_probe_before_one_that_failed_already(waiting: Ledger) -> None:
    opened(waiting)
    later = probe_at(waiting) + 3600
    assert next_study(waiting, later) in STUDIES[3:]


def test_when_it_answers_all_that_waits_is_due_at_once(waiting: Ledger) -> None:
    opened(waiting)
    now = probe_at(waiting)
    with waiting.write() as connection:
        assert circuits.record_answer(connection, "pacs", now)
        assert circuits.open_circuits(connection) == []
        assert not circuits.record_answer(connection, "pacs", now)
    assert {pair for pair in due(waiting, now) if pair[1] == "pacs"} == {(uid, "pacs") for uid in STUDIES}


def test_failures_of_one_study_alone_never_open_it(waiting: Ledger) -> None:
    """It may be what is in the study that the receiver cannot take."""
    assert not any(fail(waiting, STUDIES[0], NOW + number) for number in range(20))
    assert (STUDIES[1], "pacs") in due(waiting, NOW + 30)


def test_an_answer_in_between_counts_anew(waiting: Ledger) -> None:
    for first, second in ((0, 1), (2, 3), (4, 5)):
        assert not fail(waiting, STUDIES[first]) and not fail(waiting, STUDIES[second])
        with waiting.write() as connection:
            assert not circuits.record_answer(connection, "pacs", NOW)


def test_by_hand_the_next_probe_is_due_at_once(waiting: Ledger) -> None:
    opened(waiting)
    with waiting.write() as connection:
        retry(connection, STUDIES[0], NOW + 1)
    assert next_study(waiting, NOW + 1) is not None


def test_a_clock_that_was_set_back_does_not_put_the_probe_off(waiting: Ledger) -> None:
    opened(waiting, NOW + 86400)
    with waiting.write() as connection:
        clock.correct_times(connection, NOW)
    assert probe_at(waiting) == NOW
