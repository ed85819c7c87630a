"""The priority of a work item: triage raises it, only a person lowers it."""

from __future__ import annotations

import pytest

from node.worklist.items.priority import Priority, RequestedPriority, Source, decide

HIGH, MEDIUM, LOW = Priority
DEFAULT, TRIAGE, HUMAN = Source

CASES = [  # current, source, triage asks, earlier before → priority, source, changed
    (MEDIUM, DEFAULT, HIGH, None, HIGH, TRIAGE, True),
    (MEDIUM, DEFAULT, MEDIUM, None, MEDIUM, DEFAULT, False),
    (MEDIUM, DEFAULT, LOW, None, MEDIUM, DEFAULT, False),  # never lowered
    (HIGH, TRIAGE, LOW, HIGH, HIGH, TRIAGE, False),  # nor below an earlier value
    (MEDIUM, TRIAGE, HIGH, MEDIUM, HIGH, TRIAGE, True),
    (HIGH, HUMAN, MEDIUM, None, HIGH, HUMAN, False),  # nor below a person's
    (LOW, HUMAN, HIGH, None, HIGH, TRIAGE, True),  # but raised above what a person knew before the analysis
    (LOW, HUMAN, HIGH, HIGH, LOW, HUMAN, False),  # a person lowered it, knowing: the same is not said twice
    (LOW, HUMAN, HIGH, MEDIUM, HIGH, TRIAGE, True),  # more than that person knew
    (LOW, HUMAN, MEDIUM, HIGH, LOW, HUMAN, False),
    (MEDIUM, DEFAULT, None, None, MEDIUM, DEFAULT, False),  # not analysed, failed
    (HIGH, HUMAN, None, HIGH, HIGH, HUMAN, False),
]


@pytest.mark.parametrize(("current", "source", "requested", "earlier", "priority", "whose", "changed"), CASES)
def test_triage_raises_and_never_lowers(current, source, requested, earlier, priority, whose, changed):
    decision = decide(current, source, RequestedPriority(requested, "pneumothorax 0.93"), earlier)
    assert (decision.priority, decision.source, decision.changed) == (priority, whose, changed)
    assert "pneumothorax 0.93" in decision.reason


@pytest.mark.parametrize("current", Priority)
@pytest.mark.parametrize("source", Source)
@pytest.mark.parametrize("requested", [*Priority, None])
@pytest.mark.parametrize("earlier", [*Priority, None])
def test_no_way_down_and_twice_is_once(current, source, requested, earlier):
    triage = RequestedPriority(requested, "because")
    once = decide(current, source, triage, earlier)
    assert once.priority.rank <= current.rank
    assert once.changed == (once.priority is not current)
    twice = decide(once.priority, once.source, triage, once.triage_priority)
    assert (twice.priority, twice.source, twice.triage_priority, twice.changed) == (
        once.priority,
        once.source,
        once.triage_priority,
        False,
    )


def test_what_triage_asked_for_is_remembered_even_when_a_person_had_more():
    decision = decide(HIGH, HUMAN, RequestedPriority(MEDIUM, "nodule"), None)
    assert decision.triage_priority is MEDIUM


def test_a_repeated_analysis_says_the_same():
    triage = RequestedPriority(HIGH, "pneumothorax")
    once = decide(MEDIUM, DEFAULT, triage)
    assert (
        decide(once.priority, once.source, triage, once.triage_priority).reason == once.reason == "HIGH: pneumothorax"
    )
