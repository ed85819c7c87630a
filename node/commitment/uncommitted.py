"""Deliveries that a peer took and has not committed to yet: jobs in state STORED.

For one without a transaction commitment is to be requested; for one with a transaction it was requested, and the peer
is queried when the job is due without its result.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, select

from node.backoff import pause_after
from node.commitment.messages import CommitmentResult, Reference, Request
from node.commitment.reasons import Reason, sentence
from node.entities import JobKind, JobState
from node.ledger import jobs
from node.ledger.engine import note
from node.ledger.tables import JOB, RESULT
from node.plurals import counted
from node.sending.deliveries import DELIVERY

_MOST = 1000  # objects of one association
_SOONEST, _LATEST = 5.0, 300.0  # seconds until a peer is asked or queried again
_OBJECTS = select(DELIVERY, RESULT.c.sop_class_uid, RESULT.c.series_instance_uid, RESULT.c.kind).join(
    RESULT, RESULT.c.sop_instance_uid == DELIVERY.c.sop_instance_uid
)
_UNCOMMITTED = jobs.of(JobKind.DELIVERY, None, JobState.STORED)


def peers(connection: Connection, now: float) -> Sequence[str]:
    """The peers of which commitment is to be requested, or that are to be queried."""
    return jobs.lanes(connection, _UNCOMMITTED, JOB.c.due_at <= now)


def due(connection: Connection, peer: str, now: float) -> Sequence[RowMapping]:
    """The objects that a peer is to be asked for, by study: columns of delivery and result."""
    query = _OBJECTS.where(
        DELIVERY.c.peer == peer, DELIVERY.c.state == JobState.STORED, DELIVERY.c.next_attempt_at <= now
    ).order_by(DELIVERY.c.study_instance_uid, DELIVERY.c.id)
    return connection.execute(query.limit(_MOST)).mappings().all()


def begin(connection: Connection, rows: Iterable[RowMapping], transaction_uid: str, until: float) -> Request:
    """Record what is about to be requested, so that a result which arrives at once is known."""
    for row in rows:
        _change(connection, row, reference=transaction_uid, due_at=until, last_error="")
    return Request(transaction_uid, tuple(Reference(row["sop_class_uid"], row["sop_instance_uid"]) for row in rows))


def requested(connection: Connection, transaction_uid: str, until: float) -> None:
    """The peer took the request: its result is waited for."""
    jobs.change(connection, _UNCOMMITTED, JOB.c.reference == transaction_uid, due_at=until)


def not_requested(connection: Connection, rows: Iterable[RowMapping]) -> None:
    """The peer refused the request: the rows are as they were read before `begin`."""
    for row in rows:
        _change(connection, row, reference=row["transaction_uid"], due_at=row["next_attempt_at"])


def open_transactions(connection: Connection, transaction_uids: Collection[str]) -> bool:
    """Whether one of these transactions waits for its result."""
    return jobs.exists(connection, _UNCOMMITTED, JOB.c.reference.in_(transaction_uids))


def postpone(connection: Connection, rows: Iterable[RowMapping], error: str, now: float) -> None:
    """Look again later: after as long as the object has waited already, within bounds.

    What was requested since the rows were read keeps its own time.
    """
    for row in rows:
        as_read = and_(JOB.c.id == row["id"], _UNCOMMITTED, JOB.c.due_at == row["next_attempt_at"])
        pause = min(max(now - row["delivered_at"], _SOONEST), _LATEST)
        jobs.change(connection, as_read, due_at=now + pause, last_error=error)


def deliver(connection: Connection, rows: Sequence[RowMapping], peer: str, how: str, now: float) -> None:
    """The peer keeps them, or cannot commit: they are delivered."""
    for row in rows:
        _change(connection, row, state=JobState.DELIVERED, last_error="")
    for uid in dict.fromkeys(row["study_instance_uid"] for row in rows):
        kinds = [row["kind"] for row in rows if row["study_instance_uid"] == uid]
        note(connection, uid, now, "delivered", f"{counted(len(kinds), 'object')} to {peer}, {how}: {', '.join(kinds)}")


def send_again(connection: Connection, rows: Iterable[RowMapping], peer: str, why: str, now: float) -> None:
    """The peer does not keep them: they are due again, after the pause of a failed attempt."""
    for row in rows:
        pause = pause_after(row["attempts"])
        values = {"state": JobState.PENDING, "due_at": now + pause, "last_error": why}
        _change(connection, row, reference=None, done_at=None, notified_at=None, lease_until=None, **values)
        detail = f"{row['kind']} to {peer}: {why}; sent again in {pause:.0f} s"
        note(connection, row["study_instance_uid"], now, "not delivered", detail)


def record_result(
    connection: Connection, names: Collection[str], result: CommitmentResult, now: float
) -> dict[str, int] | None:
    """Record a result of a peer; what is named as committed and as failed has failed.

    The same result again changes nothing.

    Parameters
    ----------
    names
        The peer's tables.

    Returns
    -------
    dict or None
        Numbers of objects `committed` and `failed`; None where the peer was asked nothing under this transaction.
    """
    transaction = (DELIVERY.c.transaction_uid == result.transaction_uid, DELIVERY.c.peer.in_(names))
    rows = connection.execute(_OBJECTS.where(*transaction)).mappings().all()
    if not rows:
        return None
    reasons = {reference.sop_instance_uid: reason for reference, reason in result.failed.items()}
    kept = {reference.sop_instance_uid for reference in result.committed}
    waiting = [row for row in rows if row["state"] == JobState.STORED]
    committed = [row for row in waiting if row["sop_instance_uid"] in kept - reasons.keys()]
    failed = [row for row in waiting if row["sop_instance_uid"] in reasons]
    if committed:
        deliver(connection, committed, committed[0]["peer"], "which committed to them", now)
    for row in failed:
        _fail(connection, row, reasons[row["sop_instance_uid"]], now)
    return {"committed": len(committed), "failed": len(failed)}


def _fail(connection: Connection, row: RowMapping, reason: int, now: float) -> None:
    why = sentence(reason)
    if reason == Reason.DUPLICATE_TRANSACTION:  # of the object this says nothing: requested under another one
        _change(connection, row, reference=None, due_at=now, last_error=why)
    elif reason == Reason.CLASS_NOT_SUPPORTED:  # it took the object and commits to none of the class: queried
        _change(connection, row, due_at=now, last_error=why)
    else:
        send_again(connection, [row], row["peer"], why, now)


def _change(connection: Connection, row: RowMapping, **values: Any) -> None:
    """Of a job that is still uncommitted: a result may have arrived since it was read."""
    jobs.change(connection, JOB.c.id == row["id"], _UNCOMMITTED, **values)
