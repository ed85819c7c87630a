"""Requests for storage commitment that senders made of us: jobs that send each its result. Lane: the AE title.

Reference: the Transaction UID.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from sqlalchemy import Connection, RowMapping, func, select

from node.backoff import pause_after
from node.commitment.messages import Reference, Request
from node.entities import JobKind
from node.errors import OutOfResources
from node.ledger import jobs
from node.ledger.jobs import NewJob
from node.ledger.tables import JOB

MOST_INSTANCES = 20_000  # of one request
MOST_WAITING = 200  # requests of one peer that wait for their result
_KIND = JobKind.COMMITMENT_RESULT
_LONGEST_PAUSE = 900.0  # seconds


@dataclass(frozen=True, slots=True)
class PeerRequest:
    """A request, whom it is from, and whether its Transaction UID is in use for another one."""

    id: int
    ae_title: str
    request: Request
    duplicate: bool


def put(connection: Connection, ae_title: str, request: Request, now: float, hold: float) -> int | None:
    """Put a request; its ID, or None where the very same one waits for its result already.

    Parameters
    ----------
    hold
        Seconds in which its result may go over the association of the request before another one is opened.

    Raises
    ------
    OutOfResources
        It is too large, or too many of this peer wait.
    """
    of_peer = jobs.of(_KIND, ae_title)
    same = [_request(row) for row in jobs.find(connection, of_peer, JOB.c.reference == request.transaction_uid)]
    if any(set(one.request.references) == set(request.references) for one in same):
        return None
    if len(request.references) > MOST_INSTANCES:
        raise OutOfResources(f"a request for storage commitment may name {MOST_INSTANCES} instances")
    if jobs.count_by(connection, JOB.c.lane, of_peer).get(ae_title, 0) >= MOST_WAITING:
        raise OutOfResources(f"{MOST_WAITING} requests of this peer wait for their reports")
    payload = {"instances": [astuple(reference) for reference in request.references], "duplicate": bool(same)}
    job = NewJob(_KIND, ae_title, payload=payload, reference=request.transaction_uid)
    return jobs.put(connection, job, now, now + hold)


def peers(connection: Connection, now: float) -> Sequence[str]:
    """AE titles of those to which a result is to be sent now."""
    return jobs.lanes(connection, jobs.due(_KIND, now))


def due(connection: Connection, ae_title: str, now: float) -> Sequence[int]:
    """IDs of the requests whose result is to be sent to a peer now, oldest first."""
    return [row["id"] for row in jobs.find(connection, jobs.due(_KIND, now, ae_title))]


def get(connection: Connection, request_id: int) -> PeerRequest | None:
    """One request; None where its result was sent."""
    found = jobs.find(connection, jobs.of(_KIND), JOB.c.id == request_id)
    return _request(found[0]) if found else None


def done(connection: Connection, request_id: int) -> None:
    """The peer has the result."""
    jobs.remove(connection, jobs.of(_KIND), JOB.c.id == request_id)


def release(connection: Connection, request_id: int, now: float) -> None:
    """The association of the request did not take the result: due over another one."""
    jobs.change(connection, jobs.of(_KIND), JOB.c.id == request_id, due_at=now)


def postpone(connection: Connection, ae_title: str, error: str, now: float) -> float:
    """The peer was not reached: what was due is tried again after a growing pause; its seconds."""
    here = jobs.due(_KIND, now, ae_title)
    attempts = connection.execute(select(func.max(JOB.c.attempts)).where(here)).scalar() or 0
    pause = pause_after(attempts + 1, longest=_LONGEST_PAUSE)
    jobs.change(connection, here, attempts=JOB.c.attempts + 1, due_at=now + pause, last_error=error)
    return pause


def _request(row: RowMapping) -> PeerRequest:
    payload = row["payload"]
    request = Request(row["reference"], tuple(Reference(*one) for one in payload["instances"]))
    return PeerRequest(row["id"], row["lane"], request, payload["duplicate"])
