"""Down the ladder: what is sent where a peer does not take an object, or our own checks kept it back."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, RowMapping

from node.entities import DeliveryState
from node.ledger import outbox
from node.sending.scu import SendResult
from workers.delivery.profiles import LADDER, below

_NOT_TAKEN = {DeliveryState.REFUSED, DeliveryState.QUARANTINED}


def settle(
    connection: Connection,
    row: RowMapping,
    peer: str,
    outcome: SendResult,
    now: float,
    taken: DeliveryState = DeliveryState.DELIVERED,
) -> None:
    """Write down how one object fared at a peer; refused by its class, the next rung becomes due in its place.

    What has no rung below it is not given up: it stays in the outbox and is tried again. `taken` is the state of what
    the peer took (`outbox.settle`).
    """
    uid, package, kind = row["study_instance_uid"], row["package"], row["kind"]
    if outcome.refused and _rungs(outbox.states_of_kinds(connection, uid, peer, package), kind):
        outbox.refuse(connection, row, peer, outcome.error, now)
        descend(connection, uid, peer, package, now)
    else:
        outbox.settle(connection, row, peer, outcome.error, now, taken=taken)


def descend(connection: Connection, study_instance_uid: str, peer: str, package: str, now: float) -> None:
    """For each kind that the peer will not get, make the first rung below it due that it may get."""
    kinds = outbox.states_of_kinds(connection, study_instance_uid, peer, package)
    for kind in (kind for kind in LADDER if kinds.get(kind, set()) & _NOT_TAKEN):
        rungs = _rungs(kinds, kind)
        if rungs and kinds[rungs[0]] - _NOT_TAKEN == {DeliveryState.STANDBY}:
            outbox.stand_in(connection, study_instance_uid, peer, package, rungs[0], now)


def _rungs(kinds: Mapping[str, set[str]], kind: str) -> list[str]:
    """The kinds below that the peer holds, waits for, or has on standby, next first."""
    return [rung for rung in below(kind) if kinds.get(rung, set()) - _NOT_TAKEN]
