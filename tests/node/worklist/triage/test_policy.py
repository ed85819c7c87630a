from __future__ import annotations

import pytest

from node.worklist.items.priority import Priority, Source, Triage, decide

HIGH, MEDIUM, LOW = Priority
DEFAULT, TRIAGE, HUMAN = Source

CASES = [  # current, source, triage asks, heard before → priority, source, changed
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


@pytest.mark.parametrize(("current", "source", "asked", "heard", "priority", "whose", "changed"), CASES)
def test_triage_raises_and_never_lowers(current, source, asked, heard, priority, whose, changed):
    decision = decide(current, source, Triage(asked, "pneumothorax 0.93"), heard)
    assert (decision.priority, decision.source, decision.changed) == (priority, whose, changed)
    assert "pneumothorax 0.93" in decision.reason


@pytest.mark.parametrize("current", Priority)
@pytest.mark.parametrize("source", Source)
@pytest.mark.parametrize("asked", [*Priority, None])
@pytest.mark.parametrize("heard", [*Priority, None])
def test_no_way_down_and_twice_is_once(current, source, asked, heard):
    triage = Triage(asked, "because")
    once = decide(current, source, triage, heard)
    assert once.priority.rank <= current.rank
    assert once.changed == (once.priority is not current)
    twice = decide(once.priority, once.source, triage, once.heard)
    assert (twice.priority, twice.source, twice.heard, twice.changed) == (
        once.priority,
        once.source,
        once.heard,
        False,
    )


def test_what_triage_asked_for_is_remembered_even_when_a_person_had_more():
    decision = decide(HIGH, HUMAN, Triage(MEDIUM, "nodule"), None)
    assert decision.heard is MEDIUM


def test_a_repeated_analysis_says_the_same():
    triage = Triage(HIGH, "pneumothorax")
    once = decide(MEDIUM, DEFAULT, triage)
    assert decide(once.priority, once.source, triage, once.heard).reason == once.reason == "HIGH: pneumothorax"
