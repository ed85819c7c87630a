"""Is the study complete? A pure decision on evidence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a study that still receives.

    `last_received_at` is in seconds; `counts` are (peer, Number of Study Related Instances) answers to our C-FIND.
    """

    instances: int
    last_received_at: float
    being_sent: bool  # an association that brought instances of it is still open
    counts: tuple[tuple[str, int], ...] = ()


def reason_complete(evidence: Evidence, now: float, quiet_seconds: float) -> str:
    """Why the study is complete, in words for people; empty while it is not proved.

    Whichever proves it first: a peer's own count is reached, or the association was released and a quiet time passed.
    """
    for peer, count in evidence.counts:
        if count and count == evidence.instances:
            return f"{peer} counts {count} instances, all are here"
    if not evidence.being_sent and now - evidence.last_received_at >= quiet_seconds:
        return f"association released, then {quiet_seconds:g} s quiet"
    return ""
