from __future__ import annotations

from node.entities import FoundFinding
from node.worklist.policy import Priority
from workers.triage import triage


def finding(label: str, urgency: str, probability: float = 0.9, *, present: bool = True) -> FoundFinding:
    return FoundFinding("chest-xray", label, "probability", probability, 0.5, present, "", urgency)


def test_the_most_urgent_present_finding_asks() -> None:
    found = [finding("Nodule", "MEDIUM"), finding("Pneumothorax", "HIGH"), finding("Scoliosis", "LOW")]
    assert triage(found).priority is Priority.HIGH
    assert triage(found[::2]).priority is Priority.MEDIUM
    assert triage(found[2:]).priority is Priority.LOW


def test_an_absent_finding_asks_for_nothing() -> None:
    said = triage([finding("Pneumothorax", "HIGH", 0.4, present=False), finding("Nodule", "MEDIUM", 0.6)])
    assert said.priority is Priority.MEDIUM
    assert "Pneumothorax" not in said.reason


def test_only_those_that_ask_for_it_are_the_reason_the_most_probable_first() -> None:
    found = [finding("Effusion", "HIGH", 0.6), finding("Nodule", "LOW", 0.99), finding("Pneumothorax", "HIGH", 0.93)]
    reason = triage(found).reason
    assert reason.startswith("Pneumothorax (probability 93 %")
    assert "Effusion (probability 60 %" in reason
    assert "Nodule" not in reason


def test_a_score_is_not_called_a_probability() -> None:
    score = FoundFinding("chest-ct", "Nodule", "score", 0.51, 0.3, True, "", "MEDIUM")
    assert "Nodule (score 51 %" in triage([score]).reason


def test_without_a_finding_the_priority_asked_for_is_the_lowest() -> None:
    for found in ([], [finding("Pneumothorax", "HIGH", 0.1, present=False)]):
        assert triage(found).priority is Priority.LOW
        assert triage(found).reason == "no finding at its operating point"
