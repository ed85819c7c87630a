"""Is the study complete? A pure decision on evidence."""

from __future__ import annotations

from dataclasses import dataclass

from node.admission.associations import ABORTED, RELEASED
from node.plurals import counted

_FEWER = " and only "
PATIENCE = 15  # times the quiet time: how long images that may still be sent are waited for


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a study that still receives.

    Times are in seconds; `counts` are (peer, Number of Study Related Instances) answers to our C-FIND.
    """

    instances: int
    last_at: float  # the last instance
    being_sent: bool  # an association that sent instances of it is still open
    ended: str = RELEASED  # how the last one ended
    ended_at: float = 0.0
    counts: tuple[tuple[str, int], ...] = ()


def reason_complete(evidence: Evidence, now: float, quiet_seconds: float) -> str:
    """Why the study is complete, in words for people; empty while it is not proved.

    Whichever proves it first: a peer's own count is reached; the association was released and a quiet time passed; no
    instance was received for `PATIENCE` quiet times. So long is waited where images are missing or may still be sent: a
    peer counts more, the association did not end by its release, or one is still open. It is the study's own quiet
    that counts: associations that send nothing new of it, open or ended, hold it up no longer than that. Late images
    open a new generation.
    """
    for peer, count in evidence.counts:
        if count and count == evidence.instances:
            return f"{peer} counts {counted(count, 'instance')}, all received"
    missing = [(peer, count) for peer, count in evidence.counts if count > evidence.instances]
    known = "".join(
        f", {peer} counts {counted(count, 'instance')}{_FEWER}{evidence.instances} received" for peer, count in missing
    )
    patience = quiet_seconds * PATIENCE
    how = "association still open" if evidence.being_sent else evidence.ended
    if now - evidence.last_at >= patience:
        return f"{how}{known}, then {patience:g} s quiet"
    waits = missing or evidence.being_sent or evidence.ended != RELEASED
    if waits or now - max(evidence.last_at, evidence.ended_at) < quiet_seconds:
        return ""
    return f"{how}, then {quiet_seconds:g} s quiet"


def may_miss_images(reason: str) -> bool:
    """Whether images may be missing, by a reason that `reason_complete` gave."""
    return _FEWER in reason or reason.startswith(ABORTED)
