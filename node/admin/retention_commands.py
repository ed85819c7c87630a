"""`readfirst pin`, `unpin`, `delete` and `forget`: what an administrator keeps, and what he deletes by hand."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from node.admin.printing import new_table, print_line, print_table
from node.audit import Recorder, waiting
from node.entities import Part
from node.errors import ReadFirstError
from node.ledger import deletion
from node.ledger.engine import Ledger, note, open_ledger
from node.ledger.scrubbing import scrub
from node.plurals import counted
from node.receiving.store import Store
from node.reports.store import ReportStore, folder_of
from node.retention import erasing
from node.retention.erasing import ALL, FILES, Eraser, Inventory, Person
from node.settings import Settings, load

_AUDIT_SECONDS = 5.0  # in which the running node sends its audit messages on


@dataclass(frozen=True, slots=True)
class Target:
    """One study, or all of a patient; and how far it goes."""

    study_instance_uid: str | None
    patient_id: str | None
    undelivered: bool = False
    dry_run: bool = False

    def check(self) -> None:
        """ReadFirstError unless it names either."""
        if bool(self.study_instance_uid) == bool(self.patient_id):
            raise ReadFirstError("name one study by its UID, or a patient by --patient ID")


def set_pinned(config: Path | None, uid: str, *, pinned: bool) -> None:
    """Let retention delete nothing of a study, or let it again."""
    with closing(open_ledger(load(config), make=False)) as ledger, ledger.write() as connection:
        if not deletion.set_pinned(connection, uid, pinned=pinned):
            raise ReadFirstError(f"no study {uid} is known; `readfirst status` lists them")
        note(connection, uid, time.time(), "pinned" if pinned else "unpinned", f"by {_user()}")
    print_line(f"study {uid} {'stays until it is unpinned' if pinned else 'may be deleted again'}")


def delete(config: Path | None, target: Target, *, results: bool) -> None:
    """Delete the images of studies, with `results` all files; what was found stays known."""
    target.check()
    settings = load(config)
    with closing(open_ledger(settings, make=False)) as ledger:
        uids = _studies(ledger, target)
        found = _list(ledger, settings.node.data, uids)
        if target.dry_run:
            _print_obstacles(ledger, uids, target)
            return
        parts = FILES if results else (Part.IMAGES,)
        eraser = Eraser(ledger, settings.node.data, Recorder(settings, ledger), _person("delete"), time.time())
        eraser.delete(uids, parts, undelivered=target.undelivered)
    images, files = counted(sum(one.images for one in found), "image"), " and all files made of them" * results
    print_line(f"deleted: {images}{files}, of {counted(len(uids), 'study')}")
    print_line("no peer was asked whether it keeps them; what receivers and backups hold stays there")


def forget(config: Path | None, target: Target) -> None:
    """Delete all that is known of a patient; the audit trail keeps that it happened."""
    settings, patient_id = load(config), target.patient_id or ""
    with closing(open_ledger(settings, make=False)) as ledger:
        with ledger.read() as connection:
            uids = erasing.of_patient(connection, patient_id)
            accessions = erasing.accession_numbers(connection, patient_id, uids)
        reports = erasing.reports_of(ReportStore(folder_of(settings)), patient_id, accessions, uids)
        _list(ledger, settings.node.data, uids)
        print_line(f"{counted(len(reports), 'received report')}")
        if target.dry_run:
            _print_obstacles(ledger, uids, target)
            return
        eraser = Eraser(ledger, settings.node.data, Recorder(settings, ledger), _person("forget"), time.time())
        eraser.delete(uids, ALL, undelivered=target.undelivered)
        others = eraser.forget_others(patient_id, uids)
        for path in reports:
            path.unlink(missing_ok=True)
        _leave_no_bytes(settings, ledger)
    print_line(f"forgotten: {counted(len(uids), 'study')}, {counted(others, 'other entry')} (work items, orders)")


def _leave_no_bytes(settings: Settings, ledger: Ledger) -> None:
    Store(settings.node.data, 0).remove_leftovers()
    deadline = time.monotonic() + _AUDIT_SECONDS
    while time.monotonic() < deadline:
        with ledger.read() as connection:
            if not any(waiting(connection).values()):
                break
        time.sleep(0.1)
    if not scrub(ledger):
        print_line("PostgreSQL keeps deleted rows until VACUUM FULL, and in its write-ahead log and archives")
    erasing.compact_queue(settings.node.data)
    print_line("what receivers, backups and the audit trail hold stays there")


def _studies(ledger: Ledger, target: Target) -> list[str]:
    if target.study_instance_uid:
        return [target.study_instance_uid]
    with ledger.read() as connection:
        found = erasing.of_patient(connection, target.patient_id or "")
    if not found:
        raise ReadFirstError("no study of this patient is known")
    return found


def _list(ledger: Ledger, data: Path, uids: Iterable[str]) -> list[Inventory]:
    """Print what there is of each study."""
    with ledger.read() as connection:
        found = [erasing.inventory(connection, data, uid) for uid in uids]
    table = new_table("study", "images", "results", "pictures", "quarantined", "MiB", "")
    for one in found:
        others = f"images of {one.patients} patients" if one.patients > 1 else ""
        counts = one.images, one.results, one.pictures, one.quarantined
        table.add_row(one.study_instance_uid, *map(str, counts), f"{one.size / 2**20:.1f}", others)
    print_table(table)
    return found


def _print_obstacles(ledger: Ledger, uids: Sequence[str], target: Target) -> None:
    with ledger.read() as connection:
        found = list(erasing.obstacles(connection, uids, undelivered=target.undelivered))
    for line in found:
        print_line(line, markup=False)
    print_line("nothing was deleted (--dry-run)")


def _person(command: str) -> Person:
    return Person(_user(), f"readfirst {command}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
