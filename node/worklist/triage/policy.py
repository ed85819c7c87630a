"""The priority that findings request, by the policy. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from node.entities import FoundFinding
from node.plurals import counted
from node.settings import Policy, PolicyRule
from node.worklist.items.priority import Priority


class Disposition(StrEnum):
    """What was done with the priority that the findings request."""

    SENT = "sent"
    OFF = "off"  # worklist.sinks is empty
    SHADOW = "shadow"  # only packages in shadow mode request more
    WAITS = "waits"  # for the alert budget, as MEDIUM until then
    LATE = "late"  # the study was received too long ago for an alert


@dataclass(frozen=True, slots=True)
class DecisionInputs:
    """All that a triage decision is made of.

    `patient` is child, adult or unknown; `alerts` counts studies that were raised to HIGH in the last hour; `stuck`
    names packages that flag nearly everything; `alerted`: this study's work item is HIGH already.
    """

    findings: tuple[FoundFinding, ...]
    patient: str = "unknown"
    hours: float = 0.0  # since the study was received
    alerts: int = 0
    stuck: frozenset[str] = frozenset()
    alerted: bool = False
    off: bool = False


@dataclass(frozen=True, slots=True)
class FindingPriority:
    """The priority that one present finding requests; `rule` is its row of the policy from 1, 0 for the card.

    A finding that its card does not let raise the priority requests LOW; then `raises` is false.
    """

    finding: FoundFinding
    priority: Priority
    category: int
    rule: int
    raises: bool = True


@dataclass(frozen=True, slots=True)
class TriageDecision:
    """The priority that the findings of a study request, and the one that its work items are given (None: none).

    `reason` is for the administrator and names every finding; `public_reason` is for the work item, which peers read,
    and leaves out what is silenced. `silent` names the packages in shadow mode that saw the study: nothing of them is
    sent.
    """

    requested: Priority
    given: Priority | None
    category: int | None
    disposition: Disposition
    reason: str
    public_reason: str
    silent: frozenset[str] = frozenset()


NOTHING_FOUND = "no finding reaches its threshold"
_CATEGORY: Mapping[Priority, int] = {Priority.HIGH: 1, Priority.MEDIUM: 2, Priority.LOW: 3}  # CID 7035
_CHILD_BELOW = 18  # years


def decide(inputs: DecisionInputs, policy: Policy) -> TriageDecision:
    """Apply the policy to a study's findings."""
    packages = {finding.package for finding in inputs.findings}
    silent = frozenset(package for package in packages if is_silent(package, policy, inputs.stuck))
    return replace(_decide(inputs, policy, silent), silent=silent)


def _decide(inputs: DecisionInputs, policy: Policy, silent: frozenset[str]) -> TriageDecision:
    present = (finding for finding in inputs.findings if finding.present)
    priorities = tuple(finding_priority(finding, inputs.patient, policy) for finding in present)
    loud = tuple(one for one in priorities if one.finding.package not in silent)
    requested, category = _most(priorities)
    given, _ = _most(loud)
    if inputs.off:
        off = "triage is off (worklist.sinks)"
        reason = f"{off}: {describe(priorities, requested)}"
        return TriageDecision(requested, None, category, Disposition.OFF, reason, off)
    reason = describe(loud, given)
    if requested.above(given):
        would = f"shadow mode, it would be {requested}: {describe(priorities, requested)}"
        if not loud:
            return TriageDecision(requested, None, category, Disposition.SHADOW, would, "shadow mode")
        return TriageDecision(requested, given, category, Disposition.SHADOW, f"{reason}; {would}", reason)
    disposition, why = _held_back(inputs, policy) if given is Priority.HIGH else (Disposition.SENT, "")
    given = given if disposition is Disposition.SENT else Priority.MEDIUM
    return TriageDecision(requested, given, category, disposition, f"{why}{reason}", f"{why}{reason}")


def _held_back(inputs: DecisionInputs, policy: Policy) -> tuple[Disposition, str]:
    """Whether an alert is sent; where it is not, the begin of its reason."""
    if inputs.alerted:
        return Disposition.SENT, ""
    if inputs.hours > policy.late_hours:
        return Disposition.LATE, f"HIGH came too late, {inputs.hours:.0f} h after the study: "
    if policy.alerts_an_hour and inputs.alerts >= policy.alerts_an_hour:
        return Disposition.WAITS, f"HIGH waits, {counted(inputs.alerts, 'alert')} in the last hour: "
    return Disposition.SENT, ""


def finding_priority(finding: FoundFinding, patient: str, policy: Policy) -> FindingPriority:
    """What a present finding requests: by the first rule that fits, else by the urgency on its card."""
    if not may_raise(finding, policy):
        return FindingPriority(finding, Priority.LOW, _CATEGORY[Priority.LOW], 0, raises=False)
    for number, rule in enumerate(policy.rules, 1):
        if _fits(rule, finding, patient):
            priority = Priority(rule.priority)
            return FindingPriority(finding, priority, rule.category or _CATEGORY[priority], number)
    priority = Priority(finding.urgency)
    return FindingPriority(finding, priority, _CATEGORY[priority], 0)


def _fits(rule: PolicyRule, finding: FoundFinding, patient: str) -> bool:
    return (
        rule.finding in ("*", finding.label)
        and rule.package in ("*", finding.package)
        and rule.patients in ("any", patient)
        and finding.probability >= rule.at_least
    )


def may_raise(finding: FoundFinding, policy: Policy) -> bool:
    """Whether a finding may raise the priority: by its package's card, or because the site has it so."""
    return finding.raises_priority or not {"*", finding.label}.isdisjoint(policy.unproven_may_raise)


def is_silent(package: str, policy: Policy, stuck: frozenset[str] = frozenset()) -> bool:
    """Whether a package is in shadow mode, by `worklist.policy.shadow` or because it is stuck."""
    return "*" in policy.shadow or package in policy.shadow or package in stuck


def stuck_packages(history: Sequence[Mapping[str, Priority]], policy: Policy) -> frozenset[str]:
    """The packages that flag nearly everything.

    Parameters
    ----------
    history
        For earlier studies, the newest first: what each package that saw the study requested.
    """
    found = set()
    for package in {package for study in history for package in study}:
        recent = [study[package] for study in history if package in study][: policy.stuck_studies]
        high = sum(priority is Priority.HIGH for priority in recent)
        if len(recent) == policy.stuck_studies and high > policy.stuck_share * len(recent):
            found.add(package)
    return frozenset(found)


def requested_by_package(findings: Sequence[FoundFinding], patient: str, policy: Policy) -> dict[str, Priority]:
    """What each package that saw the study requests, LOW where it found nothing."""
    requested = {finding.package: Priority.LOW for finding in findings}
    for one in (finding_priority(finding, patient, policy) for finding in findings if finding.present):
        if one.priority.above(requested[one.finding.package]):
            requested[one.finding.package] = one.priority
    return requested


def patient_class(birth_date: str, at: float) -> str:
    """`child` (under 18), `adult`, or `unknown` where the birth date (DA) is none."""
    try:
        born, now = datetime.strptime(birth_date, "%Y%m%d"), datetime.fromtimestamp(at)
    except ValueError:
        return "unknown"
    years = now.year - born.year - ((now.month, now.day) < (born.month, born.day))
    return "unknown" if years < 0 else "child" if years < _CHILD_BELOW else "adult"


def describe(priorities: Sequence[FindingPriority], requested: Priority) -> str:
    """The findings that request this priority, the most probable first, with their ACR category."""
    chosen = sorted((one for one in priorities if one.priority is requested), key=lambda one: -one.finding.probability)
    if not chosen:
        return NOTHING_FOUND
    return f"{', '.join(map(_finding, chosen))}, ACR category {min(one.category for one in chosen)}"


def _finding(one: FindingPriority) -> str:
    finding = one.finding
    value, threshold = (f"{100 * number:.0f} %" for number in (finding.probability, finding.operating_point))
    rule = f", rule {one.rule}" if one.rule else "" if one.raises else ", does not change the order"
    return f"{finding.label} ({finding.quantity} {value}, threshold {threshold}{rule})"


def _most(priorities: Sequence[FindingPriority]) -> tuple[Priority, int | None]:
    if not priorities:
        return Priority.LOW, None
    most = min(priorities, key=lambda one: (one.priority.rank, one.category))
    return most.priority, most.category
