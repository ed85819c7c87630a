"""The outbox: which of our objects go to which peer, how often it was tried, and when it is tried next."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Sequence

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, insert, literal, or_, select, update

from node.entities import DeliveryState, ResultObject
from node.ledger.engine import note
from node.ledger.tables import OUTBOX, RESULT

FIRST_PAUSE = 5.0  # seconds
LONGEST_PAUSE = 6 * 3600.0
HELD = (DeliveryState.STORED, DeliveryState.DELIVERED)  # the peer answered Success to C-STORE
FAILING = and_(OUTBOX.c.state == DeliveryState.PENDING, OUTBOX.c.last_error != "")  # it waits, and failed before

# What becomes of an object of a kind (second) at a peer (first): PENDING, STANDBY, or None where it does not get it.
Plan = Callable[[str, str], DeliveryState | None]

# What a known row may turn to when its object comes again. What a peer holds, or refused, stays as it is.
_MAY_BECOME = {
    DeliveryState.SUPERSEDED: (DeliveryState.PENDING, DeliveryState.STANDBY, DeliveryState.QUARANTINED),
    DeliveryState.QUARANTINED: (DeliveryState.PENDING, DeliveryState.STANDBY),
    DeliveryState.STANDBY: (DeliveryState.PENDING, DeliveryState.QUARANTINED),
    DeliveryState.PENDING: (DeliveryState.QUARANTINED,),
}


def everything(_peer: str, _kind: str) -> DeliveryState | None:
    """The plan of a peer that gets each object."""
    return DeliveryState.PENDING


def pause_after(attempts: int, jitter: float, longest: float = LONGEST_PAUSE) -> float:
    """Seconds to wait after the given number of failed attempts: 5, 15, 45, … up to `longest`, times 0.75 to 1.25.

    `jitter` is in 0..1, so that peers that failed together are not all tried again together.
    """
    return float(min(FIRST_PAUSE * 3 ** min(attempts - 1, 20), longest)) * (0.75 + 0.5 * jitter)


def put(
    connection: Connection, study_instance_uid: str, generation: int, results: Iterable[ResultObject],
    peers: Iterable[str], now: float, plan: Plan = everything, silent: Collection[str] = (),
) -> tuple[str, ...]:  # fmt: skip
    """Put a generation's objects into the outbox of each peer; what an older one still had there is superseded.

    An object that is known already (same input, same UID) keeps its row: what was delivered is not sent again. One with
    a fault is quarantined: it has a row, so that it is seen and counted, and what stands in for it is sent.

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
        _remember(connection, study_instance_uid, generation, result, now)
        for peer in peers if result.package not in silent else ():
            state = plan(peer, result.kind)
            if state is not None:
                _address(connection, study_instance_uid, result, peer, state, now)
    uids = [result.sop_instance_uid for result in results]
    connection.execute(
        update(OUTBOX)
        .where(
            literal(not results or any(not one.fault for one in results)),  # what only failed replaces nothing
            OUTBOX.c.study_instance_uid == study_instance_uid,
            OUTBOX.c.state.in_((DeliveryState.PENDING, DeliveryState.STANDBY)),
            OUTBOX.c.sop_instance_uid.not_in(uids),
        )
        .values(state=DeliveryState.SUPERSEDED, lease_until=None)
    )
    waiting = select(OUTBOX.c.peer).where(
        OUTBOX.c.study_instance_uid == study_instance_uid, OUTBOX.c.state == DeliveryState.PENDING
    )
    return tuple(connection.execute(waiting.distinct()).scalars())


def _remember(connection: Connection, study_uid: str, generation: int, result: ResultObject, now: float) -> None:
    known = connection.execute(select(RESULT).where(RESULT.c.sop_instance_uid == result.sop_instance_uid)).first()
    if known:
        connection.execute(
            update(RESULT)
            .where(RESULT.c.sop_instance_uid == result.sop_instance_uid)
            .values(generation=generation, path=result.path)
        )
        return
    connection.execute(
        insert(RESULT).values(
            sop_instance_uid=result.sop_instance_uid, sop_class_uid=result.sop_class_uid,
            series_instance_uid=result.series_instance_uid, study_instance_uid=study_uid, generation=generation,
            package=result.package,
            kind=result.kind, path=result.path, created_at=now,
        )
    )  # fmt: skip


def _address(
    connection: Connection, study_uid: str, result: ResultObject, peer: str, state: DeliveryState, now: float
) -> None:
    here = and_(OUTBOX.c.sop_instance_uid == result.sop_instance_uid, OUTBOX.c.peer == peer)
    state = DeliveryState.QUARANTINED if result.fault else state
    row = connection.execute(select(OUTBOX).where(here)).first()
    if row is None:
        connection.execute(
            insert(OUTBOX).values(
                sop_instance_uid=result.sop_instance_uid, study_instance_uid=study_uid, peer=peer,
                state=state, attempts=0, next_attempt_at=now, last_error=result.fault,
            )
        )  # fmt: skip
    elif state in _MAY_BECOME.get(row.state, ()):
        values = {"state": state, "next_attempt_at": now, "last_error": result.fault, "lease_until": None}
        connection.execute(update(OUTBOX).where(here).values(values))


def due(connection: Connection, now: float, rung_before: float) -> Sequence[tuple[str, str]]:
    """(Study Instance UID, peer) pairs with something to send that the queue was not told of since `rung_before`."""
    query = (
        select(OUTBOX.c.study_instance_uid, OUTBOX.c.peer)
        .where(
            OUTBOX.c.state == DeliveryState.PENDING,
            OUTBOX.c.next_attempt_at <= now,
            or_(OUTBOX.c.lease_until.is_(None), OUTBOX.c.lease_until < now),
            or_(
                OUTBOX.c.rung_at.is_(None), OUTBOX.c.rung_at < rung_before, OUTBOX.c.rung_at < OUTBOX.c.next_attempt_at
            ),
        )
        .group_by(OUTBOX.c.study_instance_uid, OUTBOX.c.peer)
        .order_by(func.min(OUTBOX.c.next_attempt_at))
    )
    return [(row.study_instance_uid, row.peer) for row in connection.execute(query)]


def rung(connection: Connection, study_instance_uid: str, peer: str, now: float) -> None:
    """The queue was told of these deliveries."""
    connection.execute(update(OUTBOX).where(_to(study_instance_uid, peer)).values(rung_at=now))


def claim(connection: Connection, study_instance_uid: str, peer: str, now: float, lease: float) -> Sequence[RowMapping]:
    """Take what is due for one study and peer for `lease` seconds; empty where another worker has it.

    Returns
    -------
    sequence of rows
        Outbox and result columns: `sop_instance_uid`, `sop_class_uid`, `path`, `attempts`, `package`, `kind`.
    """
    free = and_(
        _to(study_instance_uid, peer),
        OUTBOX.c.next_attempt_at <= now,
        or_(OUTBOX.c.lease_until.is_(None), OUTBOX.c.lease_until < now),
    )
    query = select(OUTBOX.c.id, OUTBOX.c.attempts, RESULT).join(
        RESULT, RESULT.c.sop_instance_uid == OUTBOX.c.sop_instance_uid
    )
    rows = connection.execute(query.where(free).order_by(OUTBOX.c.id)).mappings().all()
    connection.execute(update(OUTBOX).where(free).values(lease_until=now + lease))
    return rows


def renew(connection: Connection, study_instance_uid: str, peer: str, lease_until: float) -> None:
    """The worker lives and goes on."""
    held = and_(_to(study_instance_uid, peer), OUTBOX.c.lease_until.is_not(None))
    connection.execute(update(OUTBOX).where(held).values(lease_until=lease_until))


def settle(
    connection: Connection,
    row: RowMapping,
    peer: str,
    error: str,
    now: float,
    *,
    taken: DeliveryState = DeliveryState.DELIVERED,
    jitter: float | None = None,
) -> None:
    """Write down how one object fared: `taken` where `error` is empty, else tried again after a growing pause.

    Parameters
    ----------
    taken
        DELIVERED, or STORED where the peer is still to prove that it keeps it (`node.commitment`).
    """
    here = OUTBOX.c.id == row["id"]
    if not error:
        values: dict[str, object] = {"state": taken, "delivered_at": now, "last_error": ""}
        values |= {"next_attempt_at": now, "transaction_uid": None}
    else:
        pause = pause_after(row["attempts"] + 1, random.random() if jitter is None else jitter)  # noqa: S311
        values = {"next_attempt_at": now + pause, "last_error": error}
        detail = f"{row['kind']} to {peer}: {error}; tried again in {pause:.0f} s"
        note(connection, row["study_instance_uid"], now, "not delivered", detail)
    connection.execute(
        update(OUTBOX).where(here).values(attempts=OUTBOX.c.attempts + 1, lease_until=None, rung_at=None, **values)
    )


def refuse(connection: Connection, row: RowMapping, peer: str, error: str, now: float) -> None:
    """The peer does not take the object's SOP class: it is not tried again."""
    connection.execute(
        update(OUTBOX)
        .where(OUTBOX.c.id == row["id"])
        .values(
            state=DeliveryState.REFUSED, attempts=OUTBOX.c.attempts + 1, lease_until=None, rung_at=None,
            last_error=error,
        )
    )  # fmt: skip
    note(connection, row["study_instance_uid"], now, "refused", f"{row['kind']} by {peer}: {error}")


def states_of_kinds(connection: Connection, study_instance_uid: str, peer: str, package: str) -> dict[str, set[str]]:
    """How the objects of a package's newest generation stand at a peer: kind to states."""
    of_package = and_(RESULT.c.study_instance_uid == study_instance_uid, RESULT.c.package == package)
    newest = select(func.max(RESULT.c.generation)).where(of_package).scalar_subquery()
    query = select(RESULT.c.kind, OUTBOX.c.state).join(RESULT, RESULT.c.sop_instance_uid == OUTBOX.c.sop_instance_uid)
    states: dict[str, set[str]] = {}
    for kind, state in connection.execute(
        query.where(of_package, RESULT.c.generation == newest, OUTBOX.c.peer == peer)
    ):
        states.setdefault(kind, set()).add(state)
    return states


def stand_in(connection: Connection, study_instance_uid: str, peer: str, package: str, kind: str, now: float) -> int:
    """Make the objects of `kind` that were on standby for the peer due; returns how many."""
    ours = select(RESULT.c.sop_instance_uid).where(
        RESULT.c.study_instance_uid == study_instance_uid, RESULT.c.package == package, RESULT.c.kind == kind
    )
    done = connection.execute(
        update(OUTBOX)
        .where(
            OUTBOX.c.sop_instance_uid.in_(ours), OUTBOX.c.peer == peer, OUTBOX.c.state == DeliveryState.STANDBY
        )
        .values(state=DeliveryState.PENDING, next_attempt_at=now, rung_at=None)
    )  # fmt: skip
    if done.rowcount:
        note(connection, study_instance_uid, now, "stands in", f"{kind} goes to {peer} instead")
    return int(done.rowcount)


def retry(connection: Connection, study_instance_uid: str, now: float) -> int:
    """Make due at once what of the study is not delivered, also what a peer refused; returns how many objects.

    What a peer stored and has not proven is not sent again: the peer is asked once more.
    """
    again = (DeliveryState.PENDING, DeliveryState.REFUSED)
    stored = and_(OUTBOX.c.study_instance_uid == study_instance_uid, OUTBOX.c.state == DeliveryState.STORED)
    connection.execute(update(OUTBOX).where(stored).values(next_attempt_at=now))
    done = connection.execute(
        update(OUTBOX)
        .where(OUTBOX.c.study_instance_uid == study_instance_uid, OUTBOX.c.state.in_(again))
        .values(state=DeliveryState.PENDING, next_attempt_at=now, rung_at=None)
    )
    if done.rowcount:
        note(connection, study_instance_uid, now, "retry", f"{done.rowcount} deliveries made due by hand")
    return int(done.rowcount)


def undelivered(connection: Connection) -> int:
    """How many objects wait for a peer, or for its word that it keeps them."""
    waiting = (DeliveryState.PENDING, DeliveryState.STORED)
    query = select(func.count()).select_from(OUTBOX).where(OUTBOX.c.state.in_(waiting))
    return connection.execute(query).scalar_one()


def delivered_count(connection: Connection, study_instance_uid: str, peer: str) -> int:
    """How many of our objects of this study the peer holds."""
    query = select(func.count()).select_from(OUTBOX)
    query = query.where(OUTBOX.c.study_instance_uid == study_instance_uid, OUTBOX.c.peer == peer)
    return connection.execute(query.where(OUTBOX.c.state.in_(HELD))).scalar_one()


def _to(study_instance_uid: str, peer: str) -> ColumnElement[bool]:
    return and_(
        OUTBOX.c.study_instance_uid == study_instance_uid,
        OUTBOX.c.peer == peer,
        OUTBOX.c.state == DeliveryState.PENDING,
    )
