"""The priority of a work item: its values, who may change it, and its head start in a list that ages. Pure."""

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
class RequestedPriority:
    """The priority that triage requests for a study, and why.

    `priority` is None where it requests none (not analysed, failed); `reason` is a sentence for the reader of the
    worklist and holds no patient attribute.
    """

    priority: Priority | None
    reason: str


@dataclass(frozen=True, slots=True)
class PriorityDecision:
    """The priority that a work item has from now on, and why.

    `triage_priority` is the most urgent one that triage ever requested, None where it never requested one.
    """

    priority: Priority
    source: Source
    triage_priority: Priority | None
    changed: bool
    reason: str


def decide(
    current: Priority, source: Source, triage: RequestedPriority, earlier: Priority | None = None
) -> PriorityDecision:
    """Raise the priority where triage requests more than there is; never lower it.

    A person who lowers a priority that triage had raised has seen the request: the same or less, requested again (a
    repeated analysis, late images), does not raise it a second time. Only more than before does.

    Parameters
    ----------
    earlier
        The most urgent priority that triage requested before.
    """
    requested = triage.priority
    if requested is None:
        return PriorityDecision(current, source, earlier, changed=False, reason=triage.reason)
    most = requested if earlier is None or requested.above(earlier) else earlier
    if requested is current and source is Source.TRIAGE:
        return PriorityDecision(current, source, most, changed=False, reason=f"{requested}: {triage.reason}")
    if not requested.above(current):
        return PriorityDecision(current, source, most, changed=False, reason=f"stays {current}: {triage.reason}")
    if source is Source.HUMAN and earlier is not None and not requested.above(earlier):
        reason = f"stays {current}, set by a person who knew of {earlier}: {triage.reason}"
        return PriorityDecision(current, source, most, changed=False, reason=reason)
    return PriorityDecision(requested, Source.TRIAGE, most, changed=True, reason=f"{requested}: {triage.reason}")


def head_start(priority: Priority, policy: Policy) -> float:
    """Seconds that a work item is put before one of LOW which was created at the same time."""
    high, medium = (3600.0 * hours for hours in policy.head_start_hours)
    return {Priority.HIGH: high + medium, Priority.MEDIUM: medium, Priority.LOW: 0.0}[priority]
