"""The ledger's record of an instance that arrives: it opens its study, joins it, or opens its next generation."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, case, exists, false, insert, select, update

from node.entities import MEDIUM, StoredInstance, StudyState
from node.ledger import deletion, studies
from node.ledger.engine import note, run_plainly
from node.ledger.tables import INSTANCE, RESULT, STUDY

# Made once: these run for each instance, and to make a statement takes longer than to run it.
_KNOWN = select(INSTANCE).where(INSTANCE.c.sop_instance_uid == bindparam("uid"))
_OWN = select(RESULT.c.kind).where(RESULT.c.sop_instance_uid == bindparam("uid"))
_STUDY = select(STUDY).where(STUDY.c.study_instance_uid == bindparam("uid")).with_for_update()
_GROW = (
    update(STUDY)
    .where(STUDY.c.study_instance_uid == bindparam("uid"))
    .values(
        last_received_at=bindparam("now"),
        sent_rank=case((STUDY.c.sent_rank < bindparam("rank"), STUDY.c.sent_rank), else_=bindparam("rank")),
    )
    .returning(STUDY.c.generation)
)
_ADD_INSTANCE = insert(INSTANCE)
_RECEIVED = (  # columns of an instance that its sender determines
    "sop_instance_uid", "sop_class_uid", "series_instance_uid", "study_instance_uid", "transfer_syntax_uid", "path",
    "sha256", "size", "calling_ae_title", "received_at", "patient_id",
)  # fmt: skip
_JOIN = insert(INSTANCE).from_select(  # the usual case whole: a new instance of a study that still receives
    [*_RECEIVED, "generation", "conflict"],
    select(*(bindparam(name, type_=INSTANCE.c[name].type) for name in _RECEIVED), STUDY.c.generation, false())
    .where(STUDY.c.study_instance_uid == bindparam("study_instance_uid"), STUDY.c.state == StudyState.RECEIVING)
    .where(~exists().where(INSTANCE.c.sop_instance_uid == bindparam("sop_instance_uid")))
    .where(~exists().where(RESULT.c.sop_instance_uid == bindparam("sop_instance_uid"))),
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the ledger did with an instance."""

    new: bool  # False: the very same content was known already
    conflict: bool  # another content is known under the same UIDs
    generation: int
    reopened: bool = False  # it opened the study's next generation
    elsewhere: bool = False  # another study holds an instance of the same SOP Instance UID
    stopped: bool = False  # a part of its study was being deleted: what is left stays


def record_instance(
    connection: Connection, stored: StoredInstance, calling_ae_title: str, now: float, rank: int = MEDIUM
) -> Recorded:
    """Record an instance. A new one opens its study, joins it, or opens the study's next generation.

    `rank` is that of the DIMSE priority that it arrived with (`node.entities`); the study has that of its most
    urgent instance.
    """
    uid, key = stored.key.study_instance_uid, stored.key
    values = {
        "study_instance_uid": uid,
        "series_instance_uid": key.series_instance_uid,
        "sop_instance_uid": key.sop_instance_uid,
        "sop_class_uid": key.sop_class_uid,
        "transfer_syntax_uid": stored.transfer_syntax_uid,
        "path": stored.path,
        "sha256": stored.sha256,
        "size": stored.size,
        "calling_ae_title": calling_ae_title,
        "received_at": now,
        "patient_id": key.patient_id,
    }
    if run_plainly(connection, _JOIN, values).rowcount:
        return Recorded(new=True, conflict=False, generation=_grow(connection, uid, now, rank))
    stopped = deletion.stop(connection, uid, now)
    known = connection.execute(_KNOWN, {"uid": key.sop_instance_uid}).all()
    for row in known:
        if row.study_instance_uid == uid and row.sha256 == stored.sha256:
            if stopped:  # its file may have gone, and is here anew
                here = update(INSTANCE).where(INSTANCE.c.id == row.id)
                connection.execute(here.values(path=stored.path, received_at=now))
            return Recorded(new=False, conflict=row.conflict, generation=row.generation, stopped=stopped)
    conflict = any(row.study_instance_uid == uid for row in known)
    analysed = not conflict and not _is_own_result(connection, key.sop_instance_uid)
    generation, reopened = _join_study(connection, uid, calling_ae_title, now, rank, grows=analysed)
    connection.execute(_ADD_INSTANCE, values | {"generation": generation, "conflict": conflict})
    if conflict:
        note(connection, uid, now, "conflict", f"{key.sop_instance_uid} arrived again with other content, kept beside")
    elsewhere = bool(known) and not conflict
    if elsewhere:
        note(connection, uid, now, "same UID elsewhere", f"{key.sop_instance_uid} is known in another study, too")
    return Recorded(True, conflict, generation, reopened, elsewhere, stopped)


def _grow(connection: Connection, uid: str, now: float, rank: int) -> int:
    """The generation that grew."""
    generation: int = run_plainly(connection, _GROW, {"uid": uid, "now": now, "rank": rank}).scalar_one()
    return generation


def _is_own_result(connection: Connection, sop_instance_uid: str) -> bool:
    return connection.execute(_OWN, {"uid": sop_instance_uid}).first() is not None


def _join_study(
    connection: Connection, uid: str, calling_ae_title: str, now: float, rank: int, *, grows: bool
) -> tuple[int, bool]:
    """(generation of a new instance, whether it opened that one). Only an instance to analyse (`grows`) opens one."""
    study = connection.execute(_STUDY, {"uid": uid}).first()
    if study is None:
        connection.execute(
            insert(STUDY).values(
                study_instance_uid=uid, generation=1, state=StudyState.RECEIVING, reason="", evidence="",
                calling_ae_title=calling_ae_title, first_received_at=now, last_received_at=now,
                sent_rank=rank,
            )
        )  # fmt: skip
        note(connection, uid, now, "receiving", f"first instance from {calling_ae_title}")
        return 1, False
    generation: int = study.generation
    here = STUDY.c.study_instance_uid == uid
    if not grows:
        connection.execute(update(STUDY).where(here).values(images_deleted_at=None))
        return generation, False
    if study.state == StudyState.RECEIVING:
        return _grow(connection, uid, now, rank), False
    generation += 1
    values: dict[str, object] = {"last_received_at": now, "generation": generation, "state": StudyState.RECEIVING}
    values |= {"images_deleted_at": None, "checked_at": None}
    values |= {"sent_rank": rank, "reason": "", "evidence": "", "queued_at": None, "finished_at": None}
    values["queue_attempts"] = 0
    studies.drop_analysis(connection, uid)
    note(connection, uid, now, "late images", f"generation {generation} opened by {calling_ae_title}")
    connection.execute(update(STUDY).where(here).values(values))
    return generation, True
