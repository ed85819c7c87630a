"""The priority of a work item: its values, who may change it, and its place in a list that ages. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from node.settings import Policy


class Priority(StrEnum):
    """Scheduled Procedure Step Priority (0074,1200), most urgent first (PS3.3 C.30.2)."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"

    @property
    def rank(self) -> int:
        """0 for the most urgent."""
        return tuple(Priority).index(self)

    def above(self, other: Priority) -> bool:
        """Whether this is more urgent than `other`."""
        return self.rank < other.rank


class Source(StrEnum):
    """Who gave a work item the priority that it has."""

    DEFAULT = "default"  # nobody yet: before the analysis
    TRIAGE = "triage"
    HUMAN = "human"  # N-CREATE or N-SET by a peer


BEFORE_ANALYSIS = Priority.MEDIUM


@dataclass(frozen=True, slots=True)
class Triage:
    """What an analysis says of a study's urgency.

    `priority` is None where it has nothing to say (not analysed, failed); `reason` is a sentence for the reader of
    the worklist and holds no patient attribute.
    """

    priority: Priority | None
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The priority that a work item has from now on, and why.

    `heard` is the most urgent priority that triage ever asked for, None where it never spoke.
    """

    priority: Priority
    source: Source
    heard: Priority | None
    changed: bool
    reason: str


def decide(current: Priority, source: Source, triage: Triage, heard: Priority | None = None) -> Decision:
    """Raise the priority where triage asks for more than there is; never lower it.

    A person who lowers a priority that triage had raised has seen what triage said: the same or less, said again (a
    repeated analysis, late images), does not raise it a second time. Only more than before does.
    """
    asked = triage.priority
    if asked is None:
        return Decision(current, source, heard, changed=False, reason=triage.reason)
    most = asked if heard is None or asked.above(heard) else heard
    if asked is current and source is Source.TRIAGE:
        return Decision(current, source, most, changed=False, reason=f"{asked}: {triage.reason}")
    if not asked.above(current):
        return Decision(current, source, most, changed=False, reason=f"stays {current}: {triage.reason}")
    if source is Source.HUMAN and heard is not None and not asked.above(heard):
        reason = f"stays {current}, set by a person who knew of {heard}: {triage.reason}"
        return Decision(current, source, most, changed=False, reason=reason)
    return Decision(asked, Source.TRIAGE, most, changed=True, reason=f"{asked}: {triage.reason}")


def head_start(priority: Priority, policy: Policy) -> float:
    """Seconds that a work item is put before one of LOW which came at the same time."""
    high, medium = (3600.0 * hours for hours in policy.head_start_hours)
    return {Priority.HIGH: high + medium, Priority.MEDIUM: medium, Priority.LOW: 0.0}[priority]


def place(priority: Priority, came: float, policy: Policy, now: float) -> tuple[bool, float]:
    """Where a work item stands in a list that ages, the smallest first.

    Those of HIGH that came within `late_hours` stand before all others, however old. The rest is ordered by the time
    of coming less the head start, so that nothing starves: a study that waits is overtaken only by those that came
    within the difference of the two head starts, and by such alerts, of which the budget lets only so many through.
    """
    fresh = priority is Priority.HIGH and came > now - 3600.0 * policy.late_hours
    return not fresh, came - head_start(priority, policy)
