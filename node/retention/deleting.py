"""The deletion of a marked study: each step is one short transaction, and may be made twice."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, select, update

from node.audit import Recorder
from node.durable import sync_folder
from node.entities import FINISHED, JobKind, Part
from node.ledger import deletion
from node.ledger.deletion import STOPPED
from node.ledger.engine import Ledger, note
from node.ledger.tables import (
    AUDITED,
    CIRCUIT,
    DECISION,
    EVENT,
    FEEDBACK,
    FINDING,
    INSTANCE,
    JOB,
    PICTURE,
    RESULT,
    STUDY,
)
from node.plurals import counted

BATCH = 50  # files of one step: the ledger is locked while they are removed
PAUSE = 0.02  # seconds between steps, in which others write
FOLDERS = {
    Part.IMAGES: "instances", Part.RESULTS: "results", Part.PICTURES: "pictures", Part.QUARANTINE: "quarantine",
}  # fmt: skip
_DELETED_AT = {
    Part.IMAGES: "images_deleted_at", Part.RESULTS: "results_deleted_at", Part.PICTURES: "pictures_deleted_at",
}  # fmt: skip
_OF_STUDY = (PICTURE, FINDING, FEEDBACK, DECISION, EVENT, RESULT, INSTANCE, AUDITED)


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a step removed."""

    part: Part
    files: int = 0
    size: int = 0  # bytes
    study_done: bool = False  # the part is gone whole


class Deleter:
    """Deletes what is marked, from one thread; other processes may do the same at once.

    Parameters
    ----------
    clock
        Seconds since 1970 UTC.
    """

    def __init__(self, ledger: Ledger, data: Path, audit: Recorder, clock: Callable[[], float] = time.time) -> None:
        self._ledger, self._data, self._audit, self._clock = ledger, data, audit, clock

    def step(self, study_instance_uid: str) -> Deleted | None:
        """Make the next step; None where nothing is left to do for the study."""
        with self._ledger.write() as connection:
            row = next(iter(deletion.marked(connection, study_instance_uid)), None)
            if row is None:
                return None
            if row["deleting"] == STOPPED or row["state"] not in FINISHED:
                self._stopped(connection, row)
                return None
            part, mark = Part(row["deleting"]), dict(row["deletion"])
            if part is Part.IMAGES and (done := self._remove_images(connection, study_instance_uid, mark)):
                return done
            return self._end(connection, study_instance_uid, part, mark)

    def _remove_images(self, connection: Connection, uid: str, mark: dict[str, Any]) -> Deleted | None:
        """Remove some instances; None where there is none."""
        query = select(INSTANCE).where(INSTANCE.c.study_instance_uid == uid).order_by(INSTANCE.c.id).limit(BATCH)
        rows = connection.execute(query).mappings().all()
        if not rows:
            return None
        for row in rows:
            (self._data / row["path"]).unlink(missing_ok=True)
        for folder in {(self._data / row["path"]).parent for row in rows}:
            if folder.is_dir():
                sync_folder(folder)
        connection.execute(delete(INSTANCE).where(INSTANCE.c.id.in_([row["id"] for row in rows])))
        size = sum(int(row["size"]) for row in rows)
        mark["counts"] = dict(Counter(mark["counts"]) + Counter(row["sop_class_uid"] for row in rows))
        mark["bytes"] += size
        connection.execute(update(STUDY).where(STUDY.c.study_instance_uid == uid).values(deletion=mark))
        return Deleted(Part.IMAGES, len(rows), size)

    def _end(self, connection: Connection, uid: str, part: Part, mark: dict[str, Any]) -> Deleted:
        """Remove what else there is of the part; then it is gone, and the next one follows."""
        files, size = self._remove_folder(uid, part)
        if part is Part.PICTURES:
            rows = connection.execute(delete(PICTURE).where(PICTURE.c.study_instance_uid == uid)).rowcount
            files = max(files, rows)
        if part is Part.ROWS:
            self._audit_part(connection, uid, part, mark)
            forget_rows(connection, uid)
            return Deleted(part, study_done=True)
        if part in (Part.RESULTS, Part.QUARANTINE) and files:
            mark["counts"] = _classes(connection, uid, part)
        number = sum(mark["counts"].values()) if part is Part.IMAGES else files
        if number:
            self._audit_part(connection, uid, part, mark)
            what = counted(number, "instance" if part is Part.IMAGES else "file")
            note(connection, uid, self._clock(), f"{part} deleted", f"{what}, by {mark['by']}: {mark['why']}")
        self._next(connection, uid, part, mark)
        return Deleted(part, files, size, study_done=True)

    def _next(self, connection: Connection, uid: str, part: Part, mark: dict[str, Any]) -> None:
        values: dict[str, Any] = {"deleting": "", "deletion": None}
        if mark["then"]:
            following, *others = mark["then"]
            values = {"deleting": following, "deletion": mark | {"then": others, "counts": {}, "bytes": 0}}
        if part in _DELETED_AT:
            values[_DELETED_AT[part]] = self._clock()
        connection.execute(update(STUDY).where(STUDY.c.study_instance_uid == uid).values(values))

    def _remove_folder(self, uid: str, part: Part) -> tuple[int, int]:
        """Files and bytes that were there; what an arrival has just named there is named again when it is recorded."""
        if part is Part.ROWS:
            return 0, 0
        root = self._data / FOLDERS[part]
        files = [path for path in (root / uid).rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        shutil.rmtree(root / uid, ignore_errors=True)
        if root.is_dir():
            sync_folder(root)
        return len(files), size

    def _stopped(self, connection: Connection, row: RowMapping) -> None:
        """What was deleted before it was stopped is audited, too."""
        uid, mark = row["study_instance_uid"], dict(row["deletion"] or {})
        if mark.get("counts"):
            self._audit_part(connection, uid, Part.IMAGES, mark)
        connection.execute(update(STUDY).where(STUDY.c.study_instance_uid == uid).values(deleting="", deletion=None))

    def _audit_part(self, connection: Connection, uid: str, part: Part, mark: dict[str, Any]) -> None:
        why = f"{part} deleted by {mark['by']}: {mark['why']}"
        person = mark.get("person", "")
        self._audit.deleted(connection, uid, mark["counts"], mark["patients"], person, why, whole=part is Part.ROWS)


def forget_rows(connection: Connection, study_instance_uid: str) -> None:
    """Delete all that the ledger has of a study, but for its work items and orders."""
    for table in _OF_STUDY:
        connection.execute(delete(table).where(table.c.study_instance_uid == study_instance_uid))
    kept = JOB.c.kind.in_((JobKind.AUDIT_MESSAGE, JobKind.AUDIT_RECOVERY))
    connection.execute(delete(JOB).where(JOB.c.study_instance_uid == study_instance_uid, ~kept))
    failing = CIRCUIT.c.study_instance_uid == study_instance_uid
    connection.execute(update(CIRCUIT).where(failing).values(study_instance_uid=""))
    connection.execute(delete(STUDY).where(STUDY.c.study_instance_uid == study_instance_uid))


def _classes(connection: Connection, uid: str, part: Part) -> dict[str, int]:
    """Our objects by SOP class."""
    query = select(RESULT.c.sop_class_uid).where(RESULT.c.study_instance_uid == uid)
    folder = RESULT.c.path.like(f"{FOLDERS[part]}/%")
    return dict(Counter(connection.execute(query.where(folder)).scalars().all()))
