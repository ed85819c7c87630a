"""The files: instances kept as sent, below `data/instances/<study>/<series>/<instance>.dcm`."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from node.data_folder import SpaceGuard
from node.dicom.part10 import dataset_offset
from node.durable import PART, make_folder, start_writing, sync_folder
from node.entities import InstanceKey, StoredInstance
from node.errors import OutOfResources, UnreadableInstance

_STRIDE = 1 << 20  # bytes after which the free space is checked again
_BURST = 1 << 18  # bytes with which the disk begins at once
_PORTION = 1 << 14  # bytes in which the UIDs nearly always are
_LEFT_BEHIND = 3600.0  # seconds; no instance takes so long to write


class Store:
    """Durable files of instances below one data folder; safe to use from many threads and processes.

    Parameters
    ----------
    data
        The node's data folder.
    min_free_bytes
        Below this much free space nothing is written any more.
    """

    def __init__(self, data: Path, min_free_bytes: int) -> None:
        self.data = data
        self.root = data / "instances"
        self.incoming = data / "incoming"
        self.space = SpaceGuard(self.root, min_free_bytes)

    def prepare(self) -> None:
        """Create the folders and remove what was left behind; others may be writing just now."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.incoming.mkdir(exist_ok=True)
        self.remove_leftovers()

    def remove_leftovers(self) -> None:
        """Remove what writers that were killed left behind."""
        for leftover in self.incoming.glob(f"*{PART}"):
            with suppress(FileNotFoundError):
                if time.time() - leftover.stat().st_mtime > _LEFT_BEHIND:
                    leftover.unlink()

    def begin(self, meta: bytes) -> Incoming:
        """Begin to write an instance.

        Parameters
        ----------
        meta
            Preamble, prefix and File Meta Information.

        Raises
        ------
        OutOfResources
            Too little free space, or the disk takes no file.
        """
        self.space.check(len(meta))
        return Incoming(self, meta)


class Incoming:
    """An instance on its way to the disk; it has no name until it is kept, and is gone where it is closed before."""

    def __init__(self, store: Store, meta: bytes) -> None:
        self._store, self._meta_bytes = store, len(meta)
        self._hash = hashlib.sha256()
        self._unchecked = 0  # bytes written since the free space was checked
        self._begun = 0  # bytes that the disk has begun to write
        self._portion_at, self._portion = 0, b""
        self.size = 0
        """Of the Data Set, in bytes."""
        try:
            self._descriptor, self._temporary = tempfile.mkstemp(suffix=PART, dir=store.incoming)
        except OSError as error:
            raise _not_taken(error) from error
        try:
            self._append(meta)
        except OutOfResources:
            self.close()
            raise

    def write(self, data: memoryview) -> None:
        """Append bytes of the Data Set as sent, and let the disk begin with them; OutOfResources where it cannot."""
        self._unchecked += len(data)
        if self._unchecked >= _STRIDE:
            self._store.space.check(self._unchecked)
            self._unchecked = 0
        self._append(data)
        self._hash.update(data)
        self.size += len(data)
        if self.size - self._begun >= _BURST:
            start_writing(self._descriptor, self._meta_bytes + self._begun, self.size - self._begun)
            self._begun = self.size

    def _append(self, data: bytes | memoryview) -> None:
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            raise _not_taken(error) from error

    def __getitem__(self, place: slice, /) -> bytes:
        """Bytes of the Data Set that were written; a portion of it is in memory."""
        at, end = place.start, min(place.stop, self.size)
        if not self._portion_at <= at <= end <= self._portion_at + len(self._portion):
            size = max(end - at, _PORTION)
            self._portion_at, self._portion = at, os.pread(self._descriptor, size, self._meta_bytes + at)
        return self._portion[at - self._portion_at : max(end - self._portion_at, 0)]

    def keep(self, key: InstanceKey, transfer_syntax_uid: str) -> StoredInstance:
        """Give it its name; when this returns, a power cut does not lose it.

        Returns
        -------
        StoredInstance
            With `path` of the file that holds this very content: the plain name, or, where another content has
            it already, a name with the content's hash beside it.

        Raises
        ------
        OutOfResources
            The disk did not take the file.
        """
        sha256 = self._hash.hexdigest()
        try:
            try:
                path = self._name(key, sha256)
            except FileNotFoundError:  # retention removed the empty folder just now
                path = self._name(key, sha256)
        except OSError as error:
            raise _not_taken(error) from error
        return StoredInstance(key, transfer_syntax_uid, str(path.relative_to(self._store.data)), sha256, self.size)

    def kept(self, stored: StoredInstance) -> StoredInstance:
        """What `keep` returned, named again where retention has deleted the file since.

        Called in the transaction that records the instance: from there on nobody deletes it unseen.
        """
        if (self._store.data / stored.path).exists():
            return stored
        return self.keep(stored.key, stored.transfer_syntax_uid)

    def _name(self, key: InstanceKey, sha256: str) -> Path:
        folder = self._store.root / key.study_instance_uid / key.series_instance_uid
        make_folder(folder, self._store.root)
        os.fdatasync(self._descriptor)
        path = _named(Path(self._temporary), folder, key.sop_instance_uid, sha256)
        sync_folder(folder)
        return path

    def close(self) -> None:
        """Delete the file, but for the name that `keep` gave it."""
        os.close(self._descriptor)
        Path(self._temporary).unlink(missing_ok=True)


def _not_taken(error: OSError) -> OutOfResources:
    return OutOfResources(f"the disk did not take an instance: {error.strerror}")


def dataset_sha256(path: Path) -> str:
    """SHA-256 of the Data Set's bytes in a file that `Store` wrote."""
    offset = dataset_offset(path)
    with path.open("rb") as file:
        file.seek(offset)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _named(temporary: Path, folder: Path, name: str, sha256: str) -> Path:
    """Name a file by a hard link, which (unlike a rename) never replaces another."""
    plain, beside = folder / f"{name}.dcm", folder / f"{name}.{sha256[:16]}.dcm"
    try:
        plain.hardlink_to(temporary)
        return plain
    except FileExistsError:
        if _holds(plain, sha256):
            return plain
    if not beside.exists():
        _link_unless_there(temporary, beside)
    return beside


def _holds(path: Path, sha256: str) -> bool:
    try:
        return dataset_sha256(path) == sha256
    except (OSError, UnreadableInstance):  # torn by a crash of the disk: not what arrived now
        return False


def _link_unless_there(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return  # the same content arrived over another association; its hash is in the name
