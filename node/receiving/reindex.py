"""The ledger made again from the files: what it does not know of them is recorded as if it arrived (`reindex`)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.uid import UID
from sqlalchemy import Connection, insert, select

from node.dicom.identity import identify
from node.dicom.part10 import Part10, read_part10
from node.entities import LOW, MEDIUM, InstanceKey, StoredInstance
from node.errors import Mismatch, Refused, UnreadableInstance
from node.ledger.engine import Ledger, note
from node.ledger.tables import INSTANCE, RESULT
from node.plurals import counted
from node.receiving.instances import record_instance
from node.receiving.store import dataset_sha256

_HEAD = 1 << 20  # bytes that are searched for the UIDs, as when an instance arrives


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What a run found."""

    studies: int = 0  # with an instance that the ledger did not know
    instances: int = 0
    results: int = 0  # of ours
    missing: int = 0  # instances of the ledger without a file
    unreadable: tuple[tuple[str, str], ...] = ()  # file and reason; it stays where it is


@dataclass(frozen=True, slots=True)
class _Found:
    stored: StoredInstance
    calling_ae_title: str
    received_at: float


def reindex(ledger: Ledger, data: Path) -> Reindexed:
    """Record what the ledger does not know of the files in the data folder; safe to repeat.

    A study that was not known is received and its analysis queued when the node starts; the same images give the same
    results. One whose results are there waits behind all others (LOW). What peers sent back of our own is kept, and
    opens no study's next generation.
    """
    with ledger.read() as connection:
        known = frozenset(connection.execute(select(INSTANCE.c.path)).scalars())
        ours = frozenset(connection.execute(select(RESULT.c.sop_instance_uid)).scalars())
    total = Reindexed(missing=sum(not (data / path).exists() for path in known))
    for folder in sorted(path for path in (data / "instances").glob("*") if path.is_dir()):
        new = [path for path in sorted(folder.glob("*/*.dcm")) if str(path.relative_to(data)) not in known]
        total = _add(total, _study(ledger, data, new, [one for one in _results(data, folder.name) if one not in ours]))
    return total


def _results(data: Path, study_instance_uid: str) -> list[str]:
    return sorted(path.stem for path in (data / "results" / study_instance_uid).glob("*.dcm"))


def _study(ledger: Ledger, data: Path, files: Sequence[Path], results: Sequence[str]) -> Reindexed:
    unreadable: list[tuple[str, str]] = []
    found = list(_read(data, files, unreadable))
    uid = files[0].parts[-3] if files else ""
    own = list(_read(data, (data / "results" / uid / f"{name}.dcm" for name in results if uid), []))
    if found:
        names = frozenset(_results(data, uid))
        found.sort(key=lambda one: (one.stored.key.sop_instance_uid in names, one.received_at, one.stored.path))
        with ledger.write() as connection:
            _record(connection, found, own, LOW if names else MEDIUM)
    return Reindexed(bool(found), len(found), len(own) if found else 0, 0, tuple(unreadable))


def _record(connection: Connection, found: Sequence[_Found], own: Iterable[_Found], rank: int) -> None:
    """Images first, then our results, then what peers sent back of them."""
    uid = found[0].stored.key.study_instance_uid
    for number, one in enumerate(found):
        record_instance(connection, one.stored, one.calling_ae_title, one.received_at, rank)
        for result in own if not number else ():
            _record_result(connection, result)
    note(connection, uid, time.time(), "reindexed", f"{counted(len(found), 'instance')} found on disk")


def _record_result(connection: Connection, one: _Found) -> None:
    """One of our objects; of which kind and package the analysis that makes it again records."""
    key = one.stored.key
    connection.execute(
        insert(RESULT).values(
            sop_instance_uid=key.sop_instance_uid, sop_class_uid=key.sop_class_uid,
            series_instance_uid=key.series_instance_uid, study_instance_uid=key.study_instance_uid, generation=1,
            package="", kind="", path=one.stored.path, created_at=one.received_at,
        )
    )  # fmt: skip


def _read(data: Path, files: Iterable[Path], unreadable: list[tuple[str, str]]) -> Iterator[_Found]:
    """The instances of files; in `unreadable` those that are none, or lie where another one belongs."""
    for path in files:
        name = str(path.relative_to(data))
        try:
            head = read_part10(path)
            stored = StoredInstance(_identity(head), head.transfer_syntax_uid, name, dataset_sha256(path), head.size)
            _require_place(stored)
            yield _Found(stored, head.sending_ae_title, path.stat().st_mtime)
        except (Refused, UnreadableInstance, OSError) as error:
            unreadable.append((name, str(error)))


def _identity(head: Part10) -> InstanceKey:
    with head.path.open("rb") as file:
        file.seek(head.dataset_at)
        return identify(file.read(_HEAD), UID(head.transfer_syntax_uid), head.sop_class_uid, head.sop_instance_uid)


def _require_place(stored: StoredInstance) -> None:
    """Mismatch where the names of folders and file are of another instance."""
    key, place = stored.key, Path(stored.path)
    folders = ("instances", key.study_instance_uid, key.series_instance_uid), ("results", key.study_instance_uid)
    names = key.sop_instance_uid, f"{key.sop_instance_uid}.{stored.sha256[:16]}"
    if place.parent.parts not in folders or place.stem not in names:
        raise Mismatch("the file has the place or name of another instance")


def _add(one: Reindexed, other: Reindexed) -> Reindexed:
    return replace(
        one, studies=one.studies + other.studies, instances=one.instances + other.instances,
        results=one.results + other.results, unreadable=one.unreadable + other.unreadable,
    )  # fmt: skip
