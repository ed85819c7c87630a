"""The files: instances kept as sent, below `data/instances/<study>/<series>/<instance>.dcm`."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from node.durable import PART, make_folder, sync_folder
from node.entities import InstanceKey, StoredInstance
from node.errors import OutOfResources

_PREAMBLE = 132  # 128 bytes and "DICM", PS3.10 7.1
_LEFT_BEHIND = 3600.0  # seconds; no instance takes so long to write
_GROUP_LENGTH = 12  # the element (0002,0000) UL, whose value counts the rest of the File Meta Information


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
        self.min_free_bytes = min_free_bytes

    def prepare(self) -> None:
        """Create the folder and remove what writers that were killed left behind; others may be writing just now."""
        self.root.mkdir(parents=True, exist_ok=True)
        for leftover in self.root.glob(f"*/*/*{PART}"):
            with suppress(FileNotFoundError):
                if time.time() - leftover.stat().st_mtime > _LEFT_BEHIND:
                    leftover.unlink()

    def write(self, key: InstanceKey, transfer_syntax_uid: str, meta: bytes, dataset: bytes) -> StoredInstance:
        """Put an instance on disk; when this returns, a power cut does not lose it.

        Parameters
        ----------
        meta
            Preamble, prefix and File Meta Information.
        dataset
            The Data Set's bytes as sent.

        Returns
        -------
        StoredInstance
            With `path` of the file that holds this very content: the plain name, or, where another content has
            it already, a name with the content's hash beside it.

        Raises
        ------
        OutOfResources
            Too little free space, or the disk did not take the file; nothing is left behind.
        """
        self._check_space(len(dataset))
        sha256 = hashlib.sha256(dataset).hexdigest()
        folder = self.root / key.study_instance_uid / key.series_instance_uid
        try:
            make_folder(folder, self.root)
            path = _write_once(folder, key.sop_instance_uid, sha256, meta + dataset)
        except OSError as error:
            raise OutOfResources(f"the disk did not take an instance: {error.strerror}") from error
        return StoredInstance(key, transfer_syntax_uid, str(path.relative_to(self.data)), sha256, len(dataset))

    def _check_space(self, size: int) -> None:
        try:
            free = shutil.disk_usage(self.root).free
        except OSError as error:
            raise OutOfResources(f"the data folder cannot be used: {error.strerror}") from error
        if free - size < self.min_free_bytes:
            raise OutOfResources(
                f"{free >> 20} MiB are free, node.min_free_mb = {self.min_free_bytes >> 20} are kept free"
            )


def dataset_sha256(path: Path) -> str:
    """SHA-256 of the Data Set's bytes in a file that `Store` wrote."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<L", content, _PREAMBLE + _GROUP_LENGTH - 4)
    return hashlib.sha256(memoryview(content)[_PREAMBLE + _GROUP_LENGTH + length :]).hexdigest()


def _write_once(folder: Path, name: str, sha256: str, content: bytes) -> Path:
    """Write beside, sync, then give it its name by a hard link, which (unlike a rename) never replaces a file."""
    descriptor, temporary = tempfile.mkstemp(suffix=PART, dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fdatasync(file.fileno())
        plain, beside = folder / f"{name}.dcm", folder / f"{name}.{sha256[:16]}.dcm"
        try:
            Path(plain).hardlink_to(temporary)
            return plain
        except FileExistsError:
            if _holds(plain, sha256):
                return plain
        if not beside.exists():
            _link_unless_there(Path(temporary), beside)
        return beside
    finally:
        Path(temporary).unlink(missing_ok=True)
        sync_folder(folder)


def _holds(path: Path, sha256: str) -> bool:
    try:
        return dataset_sha256(path) == sha256
    except (OSError, struct.error):  # torn by a crash of the disk: not what came now
        return False


def _link_unless_there(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return  # the same content came over another association; its hash is in the name
