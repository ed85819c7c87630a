"""From findings to the urgency of the study."""

from __future__ import annotations

from collections.abc import Sequence

from node.entities import FoundFinding
from node.worklist.policy import Priority, Triage


def triage(findings: Sequence[FoundFinding]) -> Triage:
    """The highest urgency that a present finding's label has on its card, and the findings that ask for it."""
    present = [finding for finding in findings if finding.present]
    if not present:
        return Triage(Priority.LOW, "no finding at its operating point")
    urgency = min((Priority(finding.urgency) for finding in present), key=lambda priority: priority.rank)
    asking = sorted(
        (finding for finding in present if finding.urgency == urgency), key=lambda finding: -finding.probability
    )
    return Triage(urgency, ", ".join(map(_said, asking)))


def _said(finding: FoundFinding) -> str:
    value, point = (f"{100 * number:.0f} %" for number in (finding.probability, finding.operating_point))
    return f"{finding.label} ({finding.quantity} {value}, called from {point})"
