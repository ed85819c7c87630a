"""What the policy makes of findings; nothing is lowered and nothing starves, whatever comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.entities import FoundFinding
from node.settings import Policy, PolicyRule
from node.worklist.items.priority import Priority, PriorityDecision, RequestedPriority, Source, head_start
from node.worklist.items.priority import decide as decide_priority
from node.worklist.triage.policy import DecisionInputs, Disposition, decide, patient_class, stuck_packages
from tests.node.worklist.triage.ordering import list_position

HIGH, MEDIUM, LOW = Priority
XRAY, CT = "chest-xray", "chest-ct"


def finding(
    label: str = "Pneumothorax", urgency: str = "HIGH", probability: float = 0.9, *, present: bool = True,
    package: str = XRAY, quantity: str = "probability",
) -> FoundFinding:  # fmt: skip
    return FoundFinding(package, label, quantity, probability, 0.5, present, "", urgency)


def test_without_rules_the_card_speaks() -> None:
    found = (finding("Nodule", "MEDIUM"), finding("Effusion", probability=0.6), finding())
    decision = decide(DecisionInputs(found), Policy())
    assert (decision.given, decision.category, decision.disposition) == (HIGH, 1, Disposition.SENT)
    said = "Pneumothorax (probability 90 %, threshold 50 %), Effusion (probability 60 %, threshold 50 %)"
    assert decision.reason == f"{said}, ACR category 1"


UNPROVEN = replace(finding(), raises_priority=False)


def test_a_finding_that_its_card_does_not_prove_asks_for_nothing() -> None:
    decision = decide(DecisionInputs((UNPROVEN,)), Policy())
    assert (decision.given, decision.disposition) == (LOW, Disposition.SENT)
    assert decision.reason == (
        "Pneumothorax (probability 90 %, threshold 50 %, does not change the order), ACR category 3"
    )
    other = finding("Nodule", "MEDIUM")
    assert decide(DecisionInputs((UNPROVEN, other)), Policy()) == decide(DecisionInputs((other,)), Policy())


@pytest.mark.parametrize("allowed", [("Pneumothorax",), ("*",)])
def test_the_site_lets_it_raise_by_name_and_then_its_rules_count(allowed: tuple[str, ...]) -> None:
    rule = PolicyRule(finding="Pneumothorax", priority="HIGH", category=2)
    assert decide(DecisionInputs((UNPROVEN,)), Policy(rules=(rule,))).given is LOW  # a rule alone proves nothing
    assert decide(DecisionInputs((UNPROVEN,)), Policy(unproven_may_raise=("Nodule",))).given is LOW
    assert decide(DecisionInputs((UNPROVEN,)), Policy(unproven_may_raise=allowed)).given is HIGH
    decision = decide(DecisionInputs((UNPROVEN,)), Policy(rules=(rule,), unproven_may_raise=allowed))
    assert (decision.given, decision.category) == (HIGH, 2)


def test_an_absent_finding_asks_for_nothing() -> None:
    decision = decide(DecisionInputs((finding(present=False), finding("Nodule", "MEDIUM"))), Policy())
    assert (decision.given, decision.category) == (MEDIUM, 2)
    assert "Pneumothorax" not in decision.reason


@pytest.mark.parametrize("found", [(), (finding(present=False),)])
def test_without_a_finding_the_lowest_is_asked_for(found: tuple[FoundFinding, ...]) -> None:
    decision = decide(DecisionInputs(found), Policy())
    assert (decision.given, decision.category, decision.reason) == (LOW, None, "no finding reaches its threshold")


def test_a_score_is_not_called_a_probability() -> None:
    score = finding("Nodule", "MEDIUM", 0.51, package=CT, quantity="score")
    assert "Nodule (score 51 %" in decide(DecisionInputs((score,)), Policy()).reason


RULES = (
    PolicyRule(finding="Pneumothorax", priority="HIGH", category=1, at_least=0.95),
    PolicyRule(finding="Pneumothorax", priority="HIGH", category=2, patients="child"),
    PolicyRule(finding="Pneumothorax", priority="MEDIUM", patients="adult"),
    PolicyRule(finding="*", package=CT, priority="LOW"),
)


@pytest.mark.parametrize(
    ("found", "patient", "priority", "category", "rule"),
    [
        (finding(probability=0.97), "adult", HIGH, 1, ", rule 1)"),
        (finding(probability=0.95), "child", HIGH, 1, ", rule 1)"),
        (finding(probability=0.90), "child", HIGH, 2, ", rule 2)"),
        (finding(probability=0.90), "adult", MEDIUM, 2, ", rule 3)"),
        (finding(probability=0.90), "unknown", HIGH, 1, "50 %)"),  # no rule fits: the card
        (finding("Effusion", "HIGH"), "adult", HIGH, 1, "50 %)"),
        (finding("Effusion", "HIGH", package=CT), "adult", LOW, 3, ", rule 4)"),
    ],
)
def test_the_first_rule_that_fits_counts(
    found: FoundFinding, patient: str, priority: Priority, category: int, rule: str
) -> None:
    decision = decide(DecisionInputs((found,), patient), Policy(rules=RULES))
    assert (decision.given, decision.category) == (priority, category)
    assert rule in decision.reason


def test_shadow_mode_says_what_would_be_and_sends_nothing() -> None:
    for policy in (Policy(shadow=(XRAY,)), Policy(shadow=("*",))):
        decision = decide(DecisionInputs((finding(),)), policy)
        assert (decision.requested, decision.given, decision.disposition) == (HIGH, None, Disposition.SHADOW)
        assert decision.reason.startswith("shadow mode, it would be HIGH: Pneumothorax")
        assert decision.silent == {XRAY}


def test_one_package_in_shadow_mode_does_not_silence_the_other() -> None:
    found = (finding(), finding("Nodule", "MEDIUM", package=CT))
    decision = decide(DecisionInputs(found), Policy(shadow=(XRAY,)))
    assert (decision.requested, decision.given, decision.disposition) == (HIGH, MEDIUM, Disposition.SHADOW)
    assert decision.reason.startswith("Nodule")


def test_a_stuck_package_is_in_shadow_mode() -> None:
    decision = decide(DecisionInputs((finding(),), stuck=frozenset((XRAY,))), Policy())
    assert (decision.given, decision.disposition, decision.silent) == (None, Disposition.SHADOW, {XRAY})


@pytest.mark.parametrize(
    ("case", "outcome", "given_"),
    [
        (DecisionInputs((finding(),), alerts=11), Disposition.SENT, HIGH),
        (DecisionInputs((finding(),), alerts=12), Disposition.WAITS, MEDIUM),
        (DecisionInputs((finding(),), alerts=12, alerted=True), Disposition.SENT, HIGH),  # it stands above already
        (DecisionInputs((finding("Nodule", "MEDIUM"),), alerts=12), Disposition.SENT, MEDIUM),
        (DecisionInputs((finding(),), hours=24.0), Disposition.SENT, HIGH),
        (DecisionInputs((finding(),), hours=24.1), Disposition.LATE, MEDIUM),
        (DecisionInputs((finding(),), off=True), Disposition.OFF, None),
    ],
)
def test_budget_and_expiry(case: DecisionInputs, outcome: Disposition, given_: Priority | None) -> None:
    decision = decide(case, Policy())
    assert (decision.requested.rank <= MEDIUM.rank, decision.disposition, decision.given) == (True, outcome, given_)


def test_no_budget_is_no_limit() -> None:
    assert decide(DecisionInputs((finding(),), alerts=1000), Policy(alerts_an_hour=0)).given is HIGH


@pytest.mark.parametrize(
    ("highs", "others", "stuck"), [(20, 0, True), (17, 3, True), (16, 4, False), (19, 0, False), (0, 20, False)]
)
def test_a_package_is_stuck_when_it_flags_more_than_its_share(highs: int, others: int, stuck: bool) -> None:
    history = [{XRAY: HIGH}] * highs + [{XRAY: LOW, CT: HIGH}] * others
    assert (XRAY in stuck_packages(history, Policy())) is stuck


def test_only_the_newest_studies_count() -> None:
    assert not stuck_packages([{XRAY: LOW}] * 5 + [{XRAY: HIGH}] * 100, Policy())


@pytest.mark.parametrize(
    ("birth_date", "patient"),
    [("20080922", "child"), ("20080921", "adult"), ("19500101", "adult"), ("", "unknown"), ("2008", "unknown"),
     ("20990101", "unknown")],
)  # fmt: skip
def test_patient_classes(birth_date: str, patient: str) -> None:
    assert patient_class(birth_date, 1_790_000_000.0) == patient  # 2026-09-21


# --- whatever comes ---------------------------------------------------------------------------------------------

PRIORITIES = st.sampled_from(Priority)
FINDINGS = st.builds(
    finding,
    label=st.sampled_from(["Pneumothorax", "Nodule"]),
    urgency=st.sampled_from(["HIGH", "MEDIUM", "LOW"]),
    probability=st.floats(0.0, 1.0),
    present=st.booleans(),
    package=st.sampled_from([XRAY, CT]),
)
CASES = st.builds(
    DecisionInputs,
    findings=st.lists(FINDINGS, max_size=5).map(tuple),
    patient=st.sampled_from(["child", "adult", "unknown"]),
    hours=st.floats(0.0, 100.0),
    alerts=st.integers(0, 20),
    stuck=st.sets(st.sampled_from([XRAY, CT])).map(frozenset),
    alerted=st.booleans(),
    off=st.booleans(),
)
POLICIES = st.builds(
    Policy,
    rules=st.lists(
        st.builds(
            PolicyRule,
            finding=st.sampled_from(["*", "Pneumothorax"]),
            priority=st.sampled_from(["HIGH", "MEDIUM", "LOW"]),
            patients=st.sampled_from(["any", "child"]),
            at_least=st.floats(0.0, 1.0),
        ),
        max_size=3,
    ).map(tuple),
    shadow=st.sets(st.sampled_from([XRAY, CT, "*"])).map(tuple),
    alerts_an_hour=st.integers(0, 20),
)
PERSONS = PRIORITIES.map(lambda priority: (priority, Source.HUMAN))


@given(CASES, POLICIES)
def test_the_worklist_is_never_told_more_than_was_asked_for(case: DecisionInputs, policy: Policy) -> None:
    decision = decide(case, policy)
    assert decision.given is None or not decision.given.above(decision.requested)
    assert decision == decide(case, policy)
    silent = [one for one in case.findings if one.package not in decision.silent]
    assert not any(one.package in decision.reason.partition("shadow")[0] for one in case.findings if one not in silent)


@given(st.lists(st.one_of(st.tuples(CASES, POLICIES), PERSONS), max_size=12))
def test_only_a_person_lowers_a_priority(steps: Sequence[tuple[object, object]]) -> None:
    now = PriorityDecision(MEDIUM, Source.DEFAULT, None, changed=False, reason="")
    for one, other in steps:
        if isinstance(one, Priority):
            now = PriorityDecision(one, Source.HUMAN, now.triage_priority, changed=True, reason="a person")
            continue
        assert isinstance(one, DecisionInputs)
        assert isinstance(other, Policy)
        decision = decide(one, other)
        after = decide_priority(
            now.priority, now.source, RequestedPriority(decision.given, decision.reason), now.triage_priority
        )
        assert not now.priority.above(after.priority)
        now = after


ARRIVALS = st.lists(st.tuples(st.integers(0, 400_000), PRIORITIES), min_size=1, max_size=30)


@given(ARRIVALS, st.tuples(st.integers(0, 48), st.integers(0, 48)))
def test_nobody_is_overtaken_by_what_comes_later_than_the_head_starts(
    arrivals: list[tuple[int, Priority]], hours: tuple[int, int]
) -> None:
    policy = Policy(head_start_hours=hours)
    now = max(came for came, _ in arrivals)
    order = sorted(arrivals, key=lambda one: list_position(one[1], one[0], policy, now))
    for number, (came, priority) in enumerate(order):
        for earlier, other in order[:number]:
            fresh = other is HIGH and earlier > now - 86400
            assert fresh or earlier - came <= head_start(other, policy) - head_start(priority, policy)
            assert fresh or earlier - came <= 3600 * sum(hours)


@given(ARRIVALS)
def test_a_new_alert_stands_before_all_that_is_routine(arrivals: list[tuple[int, Priority]]) -> None:
    now = max(came for came, _ in arrivals)
    order = sorted(arrivals, key=lambda one: list_position(one[1], one[0], Policy(), now))
    fresh = [one[1] is HIGH and one[0] > now - 86400 for one in order]
    assert fresh == sorted(fresh, reverse=True)


@given(ARRIVALS, st.integers(0, 400_000), st.sampled_from([MEDIUM, LOW]))
def test_routine_advances_while_alerts_come_within_their_budget(
    arrivals: list[tuple[int, Priority]], came: int, priority: Priority
) -> None:
    """In the end only what came before it, or in the head start, or the alerts of the last day stand before it."""
    policy, days = Policy(), 10
    alerts = [(came + 3600 * hour, HIGH) for hour in range(24 * days) for _ in range(policy.alerts_an_hour)]
    now = came + 86400 * days
    mine = list_position(priority, came, policy, now)
    before = [other for other, one in [*arrivals, *alerts] if list_position(one, other, policy, now) < mine]
    lasting = [other for other in before if other <= now - 86400]
    assert all(other - came <= 3600 * sum(policy.head_start_hours) for other in lasting)
    assert len(before) - len(lasting) <= 24 * policy.alerts_an_hour + len(arrivals)


@given(ARRIVALS)
def test_of_those_that_come_together_the_most_urgent_is_first(arrivals: list[tuple[int, Priority]]) -> None:
    policy = Policy()
    came = arrivals[0][0]
    order = sorted(Priority, key=lambda priority: list_position(priority, came, policy, came))
    assert order == [HIGH, MEDIUM, LOW]
