"""The priority of a reading work item: who may change it, and to what. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
