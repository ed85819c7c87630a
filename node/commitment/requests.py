"""What senders asked us to commit to and were not told yet, in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from sqlalchemy import Connection, Row, and_, delete, func, insert, select, update

from node.backoff import pause_after
from node.commitment.messages import Reference, Request
from node.errors import OutOfResources
from node.ledger.tables import COMMITMENT_REQUEST

MOST_INSTANCES = 20_000  # of one request
MOST_WAITING = 200  # requests of one peer that wait for their report
_LONGEST_PAUSE = 900.0  # seconds


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, whom it is from, and whether its Transaction UID is in use for another one."""

    id: int
    ae_title: str
    request: Request
    duplicate: bool
    attempts: int


def put(connection: Connection, ae_title: str, request: Request, now: float, hold: float) -> int | None:
    """Keep a request; its ID, or None where the very same one waits for its report already.

    Parameters
    ----------
    hold
        Seconds in which the association that it came over may report it before another one is opened.

    Raises
    ------
    OutOfResources
        It is too large, or too many of this peer wait.
    """
    here = COMMITMENT_REQUEST.c.ae_title == ae_title
    query = select(COMMITMENT_REQUEST).where(here, COMMITMENT_REQUEST.c.transaction_uid == request.transaction_uid)
    same = [_asked(row) for row in connection.execute(query)]
    if any(set(one.request.references) == set(request.references) for one in same):
        return None
    if len(request.references) > MOST_INSTANCES:
        raise OutOfResources(f"a request for storage commitment may name {MOST_INSTANCES} instances")
    waiting = connection.execute(select(func.count()).select_from(COMMITMENT_REQUEST).where(here)).scalar_one()
    if waiting >= MOST_WAITING:
        raise OutOfResources(f"{MOST_WAITING} requests of this peer wait for their reports")
    done = connection.execute(
        insert(COMMITMENT_REQUEST).values(
            ae_title=ae_title, transaction_uid=request.transaction_uid,
            instances=[astuple(reference) for reference in request.references], duplicate=bool(same),
            created_at=now, attempts=0, next_attempt_at=now + hold,
        )
    )  # fmt: skip
    assert done.inserted_primary_key is not None
    return int(done.inserted_primary_key[0])


def peers(connection: Connection, now: float) -> list[str]:
    """AE titles of those to be told something now."""
    query = select(COMMITMENT_REQUEST.c.ae_title).where(COMMITMENT_REQUEST.c.next_attempt_at <= now)
    return list(connection.execute(query.distinct()).scalars())


def due(connection: Connection, ae_title: str, now: float) -> Sequence[int]:
    """IDs of what a peer is to be told now, oldest first."""
    query = select(COMMITMENT_REQUEST.c.id).where(
        COMMITMENT_REQUEST.c.ae_title == ae_title, COMMITMENT_REQUEST.c.next_attempt_at <= now
    )
    return connection.execute(query.order_by(COMMITMENT_REQUEST.c.id)).scalars().all()


def get(connection: Connection, request_id: int) -> Asked | None:
    """One request; None where it was reported."""
    row = connection.execute(select(COMMITMENT_REQUEST).where(COMMITMENT_REQUEST.c.id == request_id)).first()
    return None if row is None else _asked(row)


def told(connection: Connection, request_id: int) -> None:
    """The peer has the report."""
    connection.execute(delete(COMMITMENT_REQUEST).where(COMMITMENT_REQUEST.c.id == request_id))


def release(connection: Connection, request_id: int, now: float) -> None:
    """The association that it came over did not take the report: due over another one."""
    here = COMMITMENT_REQUEST.c.id == request_id
    connection.execute(update(COMMITMENT_REQUEST).where(here).values(next_attempt_at=now))


def postpone(connection: Connection, ae_title: str, now: float, jitter: float) -> float:
    """The peer was not reached: what was due is tried again after a growing pause; its seconds."""
    here = and_(COMMITMENT_REQUEST.c.ae_title == ae_title, COMMITMENT_REQUEST.c.next_attempt_at <= now)
    attempts = connection.execute(select(func.max(COMMITMENT_REQUEST.c.attempts)).where(here)).scalar() or 0
    pause = pause_after(attempts + 1, jitter, _LONGEST_PAUSE)
    values = {"attempts": COMMITMENT_REQUEST.c.attempts + 1, "next_attempt_at": now + pause}
    connection.execute(update(COMMITMENT_REQUEST).where(here).values(values))
    return pause


def _asked(row: Row[tuple[object, ...]]) -> Asked:
    request = Request(row.transaction_uid, tuple(Reference(*one) for one in row.instances))
    return Asked(row.id, row.ae_title, request, row.duplicate, row.attempts)
