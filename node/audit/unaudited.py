"""Instances that were kept and that no audit message covers, since the node was killed before it was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from node.entities import JobKind, JobState
from node.ledger import jobs
from node.ledger.jobs import NewJob
from node.ledger.tables import AUDITED, INSTANCE, JOB

_SINCE = ("", "")  # the row that says from when on messages are made at all
MOST_ATTEMPTS = 3  # to make the messages of before this start
_GIVEN_UP = f"the node ended in {MOST_ATTEMPTS} attempts to record what was received before: no audit message names it"
_RECOVERY = jobs.of(JobKind.AUDIT_RECOVERY, None, JobState.PENDING)
_LONGEST = 7 * 86400.0  # seconds; no association lasts so long


@dataclass(frozen=True, slots=True)
class Unaudited:
    """What one peer sent of one study and patient."""

    study_instance_uid: str
    calling_ae_title: str
    patient_id: str
    counts: Counter[str] = field(default_factory=Counter)


def covered(connection: Connection, studies: Iterable[str], calling_ae_title: str, now: float) -> None:
    """Messages cover what this peer sent of the studies until now."""
    for study_instance_uid in studies:
        _put(connection, (study_instance_uid, calling_ae_title), now)
    old = now - _LONGEST
    if connection.execute(delete(AUDITED).where(AUDITED.c.until < old, AUDITED.c.study_instance_uid != "")).rowcount:
        connection.execute(update(AUDITED).where(_is(_SINCE), AUDITED.c.until < old).values(until=old))


def begin_recovery(connection: Connection, now: float) -> int:
    """Count an attempt to make the messages of what `find` finds, before it is made; how many there are with it.

    After `MOST_ATTEMPTS`, of which each ended the node, it has failed and is listed.
    """
    if not jobs.exists(connection, _RECOVERY):
        jobs.put(connection, NewJob(JobKind.AUDIT_RECOVERY, "start", "start"), now)
    jobs.change(connection, _RECOVERY, attempts=JOB.c.attempts + 1)
    attempts = int(jobs.find(connection, _RECOVERY)[0]["attempts"])
    if attempts > MOST_ATTEMPTS:
        jobs.change(connection, _RECOVERY, state=JobState.FAILED, key=None, last_error=_GIVEN_UP)
    return attempts


def begin(connection: Connection, now: float) -> None:
    """Messages cover all that was received until now."""
    jobs.remove(connection, _RECOVERY)
    connection.execute(delete(AUDITED))
    _put(connection, _SINCE, now)


def find(connection: Connection) -> tuple[Unaudited, ...]:
    """What no message covers; nothing at the very first start."""
    since = connection.execute(select(AUDITED.c.until).where(_is(_SINCE))).scalar()
    if since is None:
        return ()
    of_peer = and_(
        AUDITED.c.study_instance_uid == INSTANCE.c.study_instance_uid,
        AUDITED.c.calling_ae_title == INSTANCE.c.calling_ae_title,
    )
    keys = INSTANCE.c.study_instance_uid, INSTANCE.c.calling_ae_title, INSTANCE.c.patient_id
    names = *keys, INSTANCE.c.sop_class_uid
    query = select(*names, func.count()).select_from(INSTANCE.outerjoin(AUDITED, of_peer)).group_by(*names)
    query = query.where(
        INSTANCE.c.received_at > since, or_(AUDITED.c.until.is_(None), INSTANCE.c.received_at > AUDITED.c.until)
    )
    found: dict[tuple[str, str, str], Unaudited] = {}
    for *key, sop_class_uid, count in connection.execute(query):
        found.setdefault((key[0], key[1], key[2]), Unaudited(*key)).counts[sop_class_uid] += count
    return tuple(found.values())


def _put(connection: Connection, key: tuple[str, str], until: float) -> None:
    if not connection.execute(update(AUDITED).where(_is(key)).values(until=until)).rowcount:
        connection.execute(insert(AUDITED).values(study_instance_uid=key[0], calling_ae_title=key[1], until=until))


def _is(key: tuple[str, str]) -> ColumnElement[bool]:
    return and_(AUDITED.c.study_instance_uid == key[0], AUDITED.c.calling_ae_title == key[1])
