"""The order of a list that ages, as a key: what the ledger's query must agree with, and what the policy promises."""

from __future__ import annotations

from node.settings import Policy
from node.worklist.items.priority import Priority, head_start


def list_position(priority: Priority, created_at: float, policy: Policy, now: float) -> tuple[bool, float]:
    """Sorts work items as `node.worklist.items.rows.by_urgency` does with a policy, the smallest first."""
    fresh = priority is Priority.HIGH and created_at > now - 3600.0 * policy.late_hours
    return not fresh, created_at - head_start(priority, policy)
