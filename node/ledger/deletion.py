"""Deletion of parts of a study: the study is marked, then files and rows go in small steps; new images end it.

`deleting` of a study is the part that goes now, or `STOPPED`. A step (`node.retention.deleting`) removes files and
their rows inside one write transaction, in which the mark stands: so whoever records an instance finds each file
either with its row or not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, RowMapping, delete, select, update

from node.entities import FINISHED, Part
from node.ledger.engine import note
from node.ledger.tables import INSTANCE, STUDY

STOPPED = "stopped"  # new images arrived: what was deleted until then is still to be audited
_AT_ONCE = 500  # instances a statement


def begin(
    connection: Connection, study_instance_uid: str, parts: Sequence[Part], by: str, why: str, now: float,
    patients: Sequence[str] = (), person: str = "",
) -> bool:  # fmt: skip
    """Mark a finished study for the deletion of these parts, one after the other; False where it may not be marked.

    Parameters
    ----------
    by, why
        Who wants it, and what allows it: for people, without a patient attribute.
    patients
        Patient IDs for the audit trail, which are not known any more once the images are gone.
    person
        Who asked for it at this machine; empty: the node did it by itself.
    """
    first, *others = parts
    mark = {"by": by, "why": why, "at": now, "then": others, "patients": list(patients), "person": person}
    mark |= {"counts": {}, "bytes": 0}
    free = (STUDY.c.study_instance_uid == study_instance_uid, STUDY.c.state.in_(FINISHED), STUDY.c.deleting == "")
    done = connection.execute(
        update(STUDY).where(*free, STUDY.c.pinned.is_(False)).values(deleting=first, deletion=mark)
    )
    return bool(done.rowcount)


def marked(connection: Connection, study_instance_uid: str | None = None) -> Sequence[RowMapping]:
    """Studies of which something is being deleted, or was until it was stopped; or the one, if it is such a one."""
    query = select(STUDY.c.study_instance_uid, STUDY.c.state, STUDY.c.deleting, STUDY.c.deletion)
    query = query.where(STUDY.c.deleting != "")
    if study_instance_uid is not None:
        query = query.where(STUDY.c.study_instance_uid == study_instance_uid)
    return connection.execute(query).mappings().all()


def stop(connection: Connection, study_instance_uid: str, now: float) -> bool:
    """Images arrived, or commitment to the study was requested: what is still there stays; whether there was any."""
    active = (STUDY.c.study_instance_uid == study_instance_uid, STUDY.c.deleting.not_in(("", STOPPED)))
    stopped = bool(connection.execute(update(STUDY).where(*active).values(deleting=STOPPED)).rowcount)
    if stopped:
        note(
            connection, study_instance_uid, now, "deletion stopped", "images arrived, or are asked for: the rest stays"
        )
    return stopped


def forget_missing(connection: Connection, study_instance_uid: str, data: Path) -> None:
    """Drop rows whose files a step removed before it was killed; after `stop`, in its transaction."""
    query = select(INSTANCE.c.id, INSTANCE.c.path).where(INSTANCE.c.study_instance_uid == study_instance_uid)
    gone = [row.id for row in connection.execute(query) if not (data / row.path).exists()]
    connection.execute(delete(INSTANCE).where(INSTANCE.c.id.in_(gone)))


def protect(connection: Connection, sop_instance_uids: Iterable[str], data: Path, now: float) -> None:
    """A sender requested storage commitment to these instances: their studies stay by `retention.committed_days`."""
    wanted = iter(sop_instance_uids)
    while batch := list(islice(wanted, _AT_ONCE)):
        of = select(INSTANCE.c.study_instance_uid).where(INSTANCE.c.sop_instance_uid.in_(batch)).distinct()
        for uid in connection.execute(of).scalars().all():
            connection.execute(update(STUDY).where(STUDY.c.study_instance_uid == uid).values(committed_at=now))
            if stop(connection, uid, now):
                forget_missing(connection, uid, data)


def set_pinned(connection: Connection, study_instance_uid: str, *, pinned: bool) -> bool:
    """Let nothing of the study be deleted, or let it again; False where it is not known."""
    here = STUDY.c.study_instance_uid == study_instance_uid
    return bool(connection.execute(update(STUDY).where(here).values(pinned=pinned)).rowcount)


def set_checked(connection: Connection, study_instance_uids: Collection[str], now: float) -> None:
    """Their images may not go yet: they are looked at again later."""
    here = STUDY.c.study_instance_uid.in_(study_instance_uids)
    connection.execute(update(STUDY).where(here).values(checked_at=now))
