"""Is the study complete? A pure decision on evidence."""

from __future__ import annotations

from dataclasses import dataclass

from node.admission.associations import RELEASED

PATIENCE = 15  # times the quiet time: how long images that are known to be missing are waited for


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a study that still receives.

    `last_at` is in seconds; `counts` are (peer, Number of Study Related Instances) answers to our C-FIND.
    """

    instances: int
    last_at: float  # the last instance, or the end of the last association that sent one
    being_sent: bool  # an association that sent instances of it is still open
    ended: str = RELEASED  # how the last one ended
    counts: tuple[tuple[str, int], ...] = ()


def reason_complete(evidence: Evidence, now: float, quiet_seconds: float) -> str:
    """Why the study is complete, in words for people; empty while it is not proved.

    Whichever proves it first: a peer's own count is reached, or the association was released and a quiet time passed.
    Where images are known to be missing (a peer counts more, or the association did not end by its release) the quiet
    time is `PATIENCE` times as long; then what is here is analysed, and late images open a new generation.
    """
    for peer, count in evidence.counts:
        if count and count == evidence.instances:
            return f"{peer} counts {count} instances, all are here"
    missing = [(peer, count) for peer, count in evidence.counts if count > evidence.instances]
    quiet = quiet_seconds * (PATIENCE if missing or evidence.ended != RELEASED else 1)
    if evidence.being_sent or now - evidence.last_at < quiet:
        return ""
    known = "".join(f", {peer} counts {count} instances and {evidence.instances} are here" for peer, count in missing)
    return f"{evidence.ended}{known}, then {quiet:g} s quiet"
