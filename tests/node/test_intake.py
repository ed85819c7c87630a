from __future__ import annotations

import pytest

from node.intake import Evidence, reason_complete

QUIET = 2.0


def evidence(*, being_sent: bool = False, counts: tuple[tuple[str, int], ...] = ()) -> Evidence:
    return Evidence(instances=3, last_received_at=100.0, being_sent=being_sent, counts=counts)


@pytest.mark.parametrize(("now", "complete"), [(100.0, False), (101.9, False), (102.0, True), (500.0, True)])
def test_quiet_time_after_the_release_completes(now: float, complete: bool) -> None:
    assert bool(reason_complete(evidence(), now, QUIET)) is complete


def test_an_open_association_never_completes_by_time() -> None:
    assert reason_complete(evidence(being_sent=True), 1e9, QUIET) == ""


@pytest.mark.parametrize("being_sent", [True, False])
def test_a_reached_count_completes_at_once(being_sent: bool) -> None:
    reason = reason_complete(evidence(being_sent=being_sent, counts=(("other", 9), ("pacs", 3))), 100.0, QUIET)
    assert reason == "pacs counts 3 instances, all are here"


@pytest.mark.parametrize("count", [0, 2, 4])
def test_another_count_proves_nothing(count: int) -> None:
    assert reason_complete(evidence(counts=(("pacs", count),)), 100.0, QUIET) == ""


def test_a_count_of_nothing_is_no_count() -> None:
    nothing = Evidence(instances=0, last_received_at=100.0, being_sent=False, counts=(("pacs", 0),))
    assert reason_complete(nothing, 100.0, QUIET) == ""


def test_a_wrong_count_does_not_hold_the_study_back() -> None:
    assert reason_complete(evidence(counts=(("pacs", 9),)), 102.0, QUIET) == "association released, then 2 s quiet"
