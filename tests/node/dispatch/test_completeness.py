from __future__ import annotations

from dataclasses import replace

import pytest

from node.admission.associations import ABORTED, RELEASED, UNKNOWN
from node.dispatch.completeness import Evidence, may_miss_images, reason_complete

QUIET = 2.0


def evidence(*, being_sent: bool = False, ended: str = RELEASED, counts: tuple[tuple[str, int], ...] = ()) -> Evidence:
    return Evidence(instances=3, last_at=100.0, being_sent=being_sent, ended=ended, counts=counts)


@pytest.mark.parametrize(("now", "complete"), [(100.0, False), (101.9, False), (102.0, True), (500.0, True)])
def test_quiet_time_after_the_release_completes(now: float, complete: bool) -> None:
    assert bool(reason_complete(evidence(), now, QUIET)) is complete


def test_an_open_association_is_waited_for_and_not_for_ever() -> None:
    """What counts is the study's own last instance, whatever else the association goes on to send."""
    assert reason_complete(evidence(being_sent=True), 129.9, QUIET) == ""
    assert reason_complete(evidence(being_sent=True), 130.0, QUIET) == "association still open, then 30 s quiet"


def test_the_quiet_time_begins_with_the_release() -> None:
    late = replace(evidence(), ended_at=110.0)
    assert reason_complete(late, 111.9, QUIET) == ""
    assert reason_complete(late, 112.0, QUIET) == "association released, then 2 s quiet"


def test_associations_that_send_nothing_new_do_not_hold_a_study_up_for_ever() -> None:
    again = replace(evidence(), ended_at=129.9)
    assert reason_complete(again, 129.95, QUIET) == ""
    assert reason_complete(again, 130.0, QUIET) == "association released, then 30 s quiet"


@pytest.mark.parametrize("being_sent", [True, False])
def test_a_reached_count_completes_at_once(being_sent: bool) -> None:
    reason = reason_complete(evidence(being_sent=being_sent, counts=(("other", 9), ("pacs", 3))), 100.0, QUIET)
    assert reason == "pacs counts 3 instances, all received"


@pytest.mark.parametrize("count", [0, 2, 4])
def test_another_count_proves_nothing(count: int) -> None:
    assert reason_complete(evidence(counts=(("pacs", count),)), 100.0, QUIET) == ""


def test_a_count_of_nothing_is_no_count() -> None:
    nothing = Evidence(instances=0, last_at=100.0, being_sent=False, counts=(("pacs", 0),))
    assert reason_complete(nothing, 100.0, QUIET) == ""


@pytest.mark.parametrize("count", [0, 2])
def test_a_count_below_what_is_here_does_not_hold_the_study_back(count: int) -> None:
    assert reason_complete(evidence(counts=(("pacs", count),)), 102.0, QUIET) == "association released, then 2 s quiet"


def test_images_that_the_archive_counts_are_waited_for_and_not_for_ever() -> None:
    waiting = evidence(counts=(("pacs", 9),))
    assert reason_complete(waiting, 129.9, QUIET) == ""
    said = "association released, pacs counts 9 instances and only 3 received, then 30 s quiet"
    assert reason_complete(waiting, 130.0, QUIET) == said


@pytest.mark.parametrize("how", [ABORTED, UNKNOWN])
def test_after_an_end_that_was_no_release_the_rest_is_waited_for(how: str) -> None:
    assert reason_complete(evidence(ended=how), 129.9, QUIET) == ""
    assert reason_complete(evidence(ended=how), 130.0, QUIET) == f"{how}, then 30 s quiet"


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (evidence(counts=(("pacs", 3),)), False),
        (evidence(), False),
        (evidence(being_sent=True), False),
        (evidence(ended=UNKNOWN), False),
        (evidence(ended=ABORTED), True),
        (evidence(counts=(("pacs", 9),)), True),
        (evidence(being_sent=True, counts=(("pacs", 9),)), True),
    ],
)
def test_a_reason_shows_whether_images_may_be_missing(given: Evidence, *, missing: bool) -> None:
    reason = reason_complete(given, 500.0, QUIET)
    assert (bool(reason), may_miss_images(reason)) == (True, missing)
