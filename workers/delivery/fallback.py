"""Fallbacks: what is sent where a peer does not take an object, or our own checks kept it back."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, RowMapping

from node.entities import JobState
from node.sending import deliveries
from node.sending.scu import SendResult
from workers.results.registry import fallbacks, kinds

_NOT_TAKEN = {JobState.REFUSED, JobState.QUARANTINED}


def record_sent(
    connection: Connection,
    row: RowMapping,
    peer: str,
    outcome: SendResult,
    now: float,
    taken: JobState = JobState.DELIVERED,
) -> None:
    """Record how sending one object to a peer ended; where its class is refused, its next fallback becomes due.

    What has no fallback is not given up: it is tried again. `taken` is the state of what the peer took
    (`deliveries.record_sent`).
    """
    uid, package, kind = row["study_instance_uid"], row["package"], row["kind"]
    if outcome.refused and _available(deliveries.states_of_kinds(connection, uid, peer, package), kind):
        deliveries.refuse(connection, row, peer, outcome.error, now)
        send_fallbacks(connection, uid, peer, package, now)
    else:
        deliveries.record_sent(connection, row, peer, outcome.error, now, taken=taken)


def send_fallbacks(connection: Connection, study_instance_uid: str, peer: str, package: str, now: float) -> None:
    """For each kind that the peer will not get, make its first fallback due that the peer may get."""
    states = deliveries.states_of_kinds(connection, study_instance_uid, peer, package)
    for kind in (kind for kind in kinds() if states.get(kind, set()) & _NOT_TAKEN):
        available = _available(states, kind)
        if available and states[available[0]] - _NOT_TAKEN == {JobState.STANDBY}:
            deliveries.send_fallback(connection, study_instance_uid, peer, package, available[0], now)


def _available(states: Mapping[str, set[str]], kind: str) -> list[str]:
    """The fallbacks of a kind that the peer holds, waits for, or has on standby, best first."""
    return [other for other in fallbacks(kind) if states.get(other, set()) - _NOT_TAKEN]
