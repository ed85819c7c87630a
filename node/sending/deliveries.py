"""Deliveries: jobs that send one of our objects to a peer. Lane: the peer's table; key: SOP Instance UID.

One that a peer has taken keeps its row, for it is shown and never sent again. Reference: the Transaction UID under
which the peer was last asked for storage commitment.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, insert, or_, select, update

from node.entities import QUARANTINE, JobKind, JobState, ResultObject
from node.ledger import jobs
from node.ledger.engine import note
from node.ledger.jobs import LEASE, NewJob
from node.ledger.tables import JOB, RESULT
from node.sending import circuits

HELD = (JobState.STORED, JobState.DELIVERED)  # the peer answered Success to C-STORE
WAITING = (JobState.PENDING, JobState.STORED)  # to be sent, or for the peer's word that it keeps it

DELIVERY = (  # the deliveries, to read: one row an object and a peer
    select(
        JOB.c.id, JOB.c.key.label("sop_instance_uid"), JOB.c.study_instance_uid, JOB.c.lane.label("peer"), JOB.c.state,
        JOB.c.attempts, JOB.c.due_at.label("next_attempt_at"), JOB.c.notified_at, JOB.c.lease_until, JOB.c.last_error,
        JOB.c.done_at.label("delivered_at"), JOB.c.reference.label("transaction_uid"),
    )
    .where(JOB.c.kind == JobKind.DELIVERY)
    .subquery("delivery")
)  # fmt: skip
FAILING = and_(DELIVERY.c.state == JobState.PENDING, DELIVERY.c.last_error != "")  # it waits, and failed before

# What becomes of an object of a kind (second) at a peer (first): PENDING, STANDBY, or None where it does not get it.
Plan = Callable[[str, str], JobState | None]

# What a known row may turn to when its object comes again. What a peer holds, or refused, stays as it is.
_MAY_BECOME = {
    JobState.SUPERSEDED: (JobState.PENDING, JobState.STANDBY, JobState.QUARANTINED),
    JobState.QUARANTINED: (JobState.PENDING, JobState.STANDBY),
    JobState.STANDBY: (JobState.PENDING, JobState.QUARANTINED),
    JobState.PENDING: (JobState.QUARANTINED,),
}


def everything(_peer: str, _kind: str) -> JobState | None:
    """The plan of a peer that gets each object."""
    return JobState.PENDING


def put(
    connection: Connection, study_instance_uid: str, generation: int, results: Iterable[ResultObject],
    peers: Iterable[str], now: float, plan: Plan = everything, silent: Collection[str] = (),
) -> tuple[str, ...]:  # fmt: skip
    """Put the deliveries of a generation's objects to each peer; those of an older one that still wait are superseded.

    An object that is known already (same input, same UID) keeps its job: what was delivered is not sent again. One with
    a fault is quarantined: it has a job, so that it is seen and counted, and its fallback is sent.

    Parameters
    ----------
    silent
        Packages in shadow mode: their objects are known, and stay here.

    Returns
    -------
    tuple of str
        The peers that have something to get.
    """
    results, peers = tuple(results), tuple(peers)
    for result in results:
        _record_result(connection, study_instance_uid, generation, result, now)
        for peer in peers if result.package not in silent else ():
            state = plan(peer, result.kind)
            if state is not None:
                _put_one(connection, study_instance_uid, result, peer, state, now)
    _drop_not_made(connection, study_instance_uid, generation, [result.sop_instance_uid for result in results])
    if not results or any(not one.fault for one in results):  # what only failed replaces nothing
        older = (
            _of(study_instance_uid, None, JobState.PENDING, JobState.STANDBY),
            JOB.c.key.not_in([result.sop_instance_uid for result in results]),
        )
        jobs.change(connection, *older, state=JobState.SUPERSEDED, lease_until=None)
    return jobs.lanes(connection, _of(study_instance_uid, None, JobState.PENDING))


def _drop_not_made(connection: Connection, study_uid: str, generation: int, made: Sequence[str]) -> None:
    """Forget what a repaired package makes no more: objects of this generation that did not pass our own checks."""
    faulty = and_(RESULT.c.path.like(f"{QUARANTINE}/%"), RESULT.c.sop_instance_uid.not_in(made))
    here = and_(RESULT.c.study_instance_uid == study_uid, RESULT.c.generation == generation, faulty)
    gone = connection.execute(select(RESULT.c.sop_instance_uid).where(here)).scalars().all()
    jobs.change(connection, _of(study_uid, None, JobState.QUARANTINED), JOB.c.key.in_(gone), state=JobState.SUPERSEDED)
    connection.execute(RESULT.delete().where(here))


def _record_result(connection: Connection, study_uid: str, generation: int, result: ResultObject, now: float) -> None:
    known = connection.execute(
        update(RESULT)
        .where(RESULT.c.sop_instance_uid == result.sop_instance_uid)
        .values(generation=generation, path=result.path, package=result.package, kind=result.kind)
    )
    if known.rowcount:
        return
    connection.execute(
        insert(RESULT).values(
            sop_instance_uid=result.sop_instance_uid, sop_class_uid=result.sop_class_uid,
            series_instance_uid=result.series_instance_uid, study_instance_uid=study_uid, generation=generation,
            package=result.package, kind=result.kind, path=result.path, created_at=now,
        )
    )  # fmt: skip


def _put_one(
    connection: Connection, study_uid: str, result: ResultObject, peer: str, state: JobState, now: float
) -> None:
    state = JobState.QUARANTINED if result.fault else state
    here = and_(jobs.of(JobKind.DELIVERY, peer), JOB.c.key == result.sop_instance_uid)
    known = jobs.find(connection, here)
    if not known:
        uid, fault = result.sop_instance_uid, result.fault
        jobs.put(connection, NewJob(JobKind.DELIVERY, peer, uid, study_uid, state=state, last_error=fault), now)
    elif state in _MAY_BECOME.get(JobState(known[0]["state"]), ()):
        jobs.change(connection, here, state=state, due_at=now, last_error=result.fault, lease_until=None)


def due(connection: Connection, now: float, notified_before: float) -> Sequence[tuple[str, str]]:
    """(Study Instance UID, peer) with something to send that the workers were not notified of since then.

    Nothing for a peer whose circuit is open before its next probe is due (`node.sending.circuits`).
    """
    unnotified = or_(JOB.c.notified_at.is_(None), JOB.c.notified_at < notified_before, JOB.c.notified_at < JOB.c.due_at)
    query = (
        select(JOB.c.study_instance_uid, JOB.c.lane)
        .where(jobs.due(JobKind.DELIVERY, now), unnotified, circuits.not_waiting(JOB.c.lane, now))
        .group_by(JOB.c.study_instance_uid, JOB.c.lane)
        .order_by(func.min(JOB.c.due_at))
    )
    return [(row.study_instance_uid, row.lane) for row in connection.execute(query)]


def next_study(connection: Connection, peer: str, now: float) -> str | None:
    """The study whose objects are to be sent to a peer next: the one tried least often, then the one due longest."""
    query = select(JOB.c.study_instance_uid).where(
        jobs.due(JobKind.DELIVERY, now, peer), circuits.not_waiting(JOB.c.lane, now)
    )
    order = (func.min(JOB.c.attempts), func.min(JOB.c.due_at))
    found = connection.execute(query.group_by(JOB.c.study_instance_uid).order_by(*order).limit(1))
    uid: str | None = found.scalar()
    return uid


def mark_notified(connection: Connection, study_instance_uid: str, peer: str, now: float) -> None:
    """The workers were notified of these deliveries."""
    jobs.change(connection, _of(study_instance_uid, peer, JobState.PENDING), notified_at=now)


def claim(
    connection: Connection, study_instance_uid: str, peer: str, now: float, lease: float = LEASE
) -> Sequence[RowMapping]:
    """Take what is due for one study and peer for `lease` seconds; empty where another worker has it.

    Empty, too, where the peer's circuit is open, and this is not its next probe.

    Returns
    -------
    sequence of rows
        `id` and `attempts` of the job, and the result's columns: `sop_instance_uid`, `sop_class_uid`, `path`, `kind`, …
    """
    if not circuits.may_send(connection, peer, now):
        return ()
    free = and_(jobs.due(JobKind.DELIVERY, now, peer), JOB.c.study_instance_uid == study_instance_uid)
    query = select(JOB.c.id, JOB.c.attempts, RESULT).join(RESULT, RESULT.c.sop_instance_uid == JOB.c.key)
    rows = connection.execute(query.where(free).order_by(JOB.c.id)).mappings().all()
    jobs.hold(connection, [row["id"] for row in rows], now + lease)
    return rows


def record_sent(
    connection: Connection, row: RowMapping, peer: str, error: str, now: float, *,
    taken: JobState = JobState.DELIVERED, jitter: float | None = None,
) -> None:  # fmt: skip
    """Record how sending one object ended: `taken` where `error` is empty, else tried again after a growing pause.

    Parameters
    ----------
    taken
        DELIVERED, or STORED where the peer is still to prove that it keeps it (`node.commitment`).
    """
    if not error:
        jobs.finish(connection, row["id"], state=taken, done_at=now, due_at=now, last_error="", reference=None)
        return
    pause = jobs.postpone(connection, row["id"], row["attempts"], error, now, jitter=jitter)
    detail = f"{row['kind']} to {peer}: {error}; tried again in {pause:.0f} s"
    note(connection, row["study_instance_uid"], now, "not delivered", detail)


def refuse(connection: Connection, row: RowMapping, peer: str, error: str, now: float) -> None:
    """The peer does not take the object's SOP class: it is not tried again."""
    jobs.finish(connection, row["id"], state=JobState.REFUSED, last_error=error)
    note(connection, row["study_instance_uid"], now, "refused", f"{row['kind']} by {peer}: {error}")


def states_of_kinds(connection: Connection, study_instance_uid: str, peer: str, package: str) -> dict[str, set[str]]:
    """The states of the objects of a package's newest generation at a peer, by kind."""
    of_package = and_(RESULT.c.study_instance_uid == study_instance_uid, RESULT.c.package == package)
    newest = select(func.max(RESULT.c.generation)).where(of_package).scalar_subquery()
    query = select(RESULT.c.kind, JOB.c.state).join(RESULT, RESULT.c.sop_instance_uid == JOB.c.key)
    here = (of_package, RESULT.c.generation == newest, _of(study_instance_uid, peer))
    states: dict[str, set[str]] = {}
    for kind, state in connection.execute(query.where(*here)):
        states.setdefault(kind, set()).add(state)
    return states


def send_fallback(
    connection: Connection, study_instance_uid: str, peer: str, package: str, kind: str, now: float
) -> int:
    """Make the objects of `kind` that were on standby for the peer due; returns how many."""
    ours = select(RESULT.c.sop_instance_uid).where(
        RESULT.c.study_instance_uid == study_instance_uid, RESULT.c.package == package, RESULT.c.kind == kind
    )
    here = (_of(study_instance_uid, peer, JobState.STANDBY), JOB.c.key.in_(ours))
    number = jobs.change(connection, *here, state=JobState.PENDING, due_at=now, notified_at=None)
    if number:
        note(connection, study_instance_uid, now, "fallback", f"{kind} goes to {peer} instead")
    return number


def undelivered(connection: Connection) -> int:
    """How many objects wait for a peer, or for its word that it keeps them."""
    query = select(func.count()).select_from(JOB).where(jobs.of(JobKind.DELIVERY, None, *WAITING))
    return connection.execute(query).scalar_one()


def delivered_count(connection: Connection, study_instance_uid: str, peer: str) -> int:
    """How many of our objects of this study the peer holds."""
    query = select(func.count()).select_from(JOB).where(_of(study_instance_uid, peer, *HELD))
    return connection.execute(query).scalar_one()


def _of(study_instance_uid: str, peer: str | None, *states: JobState) -> ColumnElement[bool]:
    return and_(jobs.of(JobKind.DELIVERY, peer, *states), JOB.c.study_instance_uid == study_instance_uid)
