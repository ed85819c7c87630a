"""The priority that findings ask for, by the policy. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from node.entities import FoundFinding
from node.settings import Policy, PolicyRule
from node.worklist.items.priority import Priority


class Outcome(StrEnum):
    """What became of what the findings ask for."""

    SENT = "sent"
    OFF = "off"  # worklist.sinks is empty
    SHADOW = "shadow"  # only packages in shadow mode ask for more
    WAITS = "waits"  # for the alert budget, as MEDIUM until then
    LATE = "late"  # the study came too long ago for an alert


@dataclass(frozen=True, slots=True)
class Case:
    """All that a verdict is made of.

    `patient` is child, adult or unknown; `alerts` counts studies that were raised to HIGH in the last hour; `stuck`
    names packages that flag nearly everything; `alerted` says that this study's work item is HIGH already.
    """

    findings: tuple[FoundFinding, ...]
    patient: str = "unknown"
    hours: float = 0.0  # since the study came
    alerts: int = 0
    stuck: frozenset[str] = frozenset()
    alerted: bool = False
    off: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """What one present finding asks for; `rule` is its row of the policy from 1, 0 for the card."""

    finding: FoundFinding
    priority: Priority
    category: int
    rule: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What triage says of a study: what was asked, and what the worklist is told (None: nothing).

    `reason` is for the administrator and names every finding; `told` is for the work item, which peers read, and says
    nothing of what is silenced. `silent` names the packages in shadow mode that saw the study: nothing of them is sent.
    """

    asked: Priority
    given: Priority | None
    category: int | None
    outcome: Outcome
    reason: str
    told: str
    silent: frozenset[str] = frozenset()


NOTHING_FOUND = "no finding at its operating point"
_CATEGORY: Mapping[Priority, int] = {Priority.HIGH: 1, Priority.MEDIUM: 2, Priority.LOW: 3}  # CID 7035
_CHILD_BELOW = 18  # years


def judge(case: Case, policy: Policy) -> Verdict:
    """Apply the policy to a study's findings."""
    packages = {finding.package for finding in case.findings}
    silent = frozenset(package for package in packages if is_silent(package, policy, case.stuck))
    return replace(_judge(case, policy, silent), silent=silent)


def _judge(case: Case, policy: Policy, silent: frozenset[str]) -> Verdict:
    calls = tuple(call(finding, case.patient, policy.rules) for finding in case.findings if finding.present)
    loud = tuple(one for one in calls if one.finding.package not in silent)
    asked, category = _most(calls)
    given, _ = _most(loud)
    if case.off:
        told = "triage is off (worklist.sinks)"
        return Verdict(asked, None, category, Outcome.OFF, f"{told}: {said(calls, asked)}", told)
    reason = said(loud, given)
    if asked.above(given):
        would = f"shadow mode, it would be {asked}: {said(calls, asked)}"
        heard, full, told = (given, f"{reason}; {would}", reason) if loud else (None, would, "shadow mode")
        return Verdict(asked, heard, category, Outcome.SHADOW, full, told)
    if given is not Priority.HIGH or case.alerted:
        return Verdict(asked, given, category, Outcome.SENT, reason, reason)
    if case.hours > policy.late_hours:
        reason = f"HIGH came too late, {case.hours:.0f} h after the study: {reason}"
        return Verdict(asked, Priority.MEDIUM, category, Outcome.LATE, reason, reason)
    if policy.alerts_an_hour and case.alerts >= policy.alerts_an_hour:
        reason = f"HIGH waits, {case.alerts} alerts in the last hour: {reason}"
        return Verdict(asked, Priority.MEDIUM, category, Outcome.WAITS, reason, reason)
    return Verdict(asked, given, category, Outcome.SENT, reason, reason)


def call(finding: FoundFinding, patient: str, rules: Sequence[PolicyRule]) -> Call:
    """What a present finding asks for: by the first rule that fits, else by the urgency on its card."""
    for number, rule in enumerate(rules, 1):
        if _fits(rule, finding, patient):
            priority = Priority(rule.priority)
            return Call(finding, priority, rule.category or _CATEGORY[priority], number)
    priority = Priority(finding.urgency)
    return Call(finding, priority, _CATEGORY[priority], 0)


def _fits(rule: PolicyRule, finding: FoundFinding, patient: str) -> bool:
    return (
        rule.finding in ("*", finding.label)
        and rule.package in ("*", finding.package)
        and rule.patients in ("any", patient)
        and finding.probability >= rule.at_least
    )


def is_silent(package: str, policy: Policy, stuck: frozenset[str] = frozenset()) -> bool:
    """Whether a package is in shadow mode, because somebody said so or because it is stuck."""
    return "*" in policy.shadow or package in policy.shadow or package in stuck


def stuck_packages(history: Sequence[Mapping[str, Priority]], policy: Policy) -> frozenset[str]:
    """The packages that flag nearly everything.

    Parameters
    ----------
    history
        For earlier studies, the newest first: what each package that saw the study asked for.
    """
    found = set()
    for package in {package for study in history for package in study}:
        recent = [study[package] for study in history if package in study][: policy.stuck_studies]
        high = sum(priority is Priority.HIGH for priority in recent)
        if len(recent) == policy.stuck_studies and high > policy.stuck_share * len(recent):
            found.add(package)
    return frozenset(found)


def asked_by_package(
    findings: Sequence[FoundFinding], patient: str, rules: Sequence[PolicyRule]
) -> dict[str, Priority]:
    """What each package that saw the study asks for, LOW where it found nothing."""
    asked = {finding.package: Priority.LOW for finding in findings}
    for finding in findings:
        if finding.present and (priority := call(finding, patient, rules).priority).above(asked[finding.package]):
            asked[finding.package] = priority
    return asked


def patient_class(birth_date: str, at: float) -> str:
    """`child` (under 18), `adult`, or `unknown` where the birth date (DA) says nothing."""
    try:
        born, now = datetime.strptime(birth_date, "%Y%m%d"), datetime.fromtimestamp(at)
    except ValueError:
        return "unknown"
    years = now.year - born.year - ((now.month, now.day) < (born.month, born.day))
    return "unknown" if years < 0 else "child" if years < _CHILD_BELOW else "adult"


def said(calls: Sequence[Call], priority: Priority) -> str:
    """The findings that ask for this priority, the most probable first, with their ACR category."""
    asking = sorted((one for one in calls if one.priority is priority), key=lambda one: -one.finding.probability)
    if not asking:
        return NOTHING_FOUND
    return f"{', '.join(map(_finding, asking))}, ACR category {min(one.category for one in asking)}"


def _finding(one: Call) -> str:
    finding = one.finding
    value, point = (f"{100 * number:.0f} %" for number in (finding.probability, finding.operating_point))
    rule = f", rule {one.rule}" if one.rule else ""
    return f"{finding.label} ({finding.quantity} {value}, called from {point}{rule})"


def _most(calls: Sequence[Call]) -> tuple[Priority, int | None]:
    if not calls:
        return Priority.LOW, None
    most = min(calls, key=lambda one: (one.priority.rank, one.category))
    return most.priority, most.category
