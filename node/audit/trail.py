"""The sink `file`: a message a line, at the end of `audit.log`, which only this user may read."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.durable import sync_folder
from node.errors import NotTaken

NAME, ASIDE = "audit.log", "audit-*.log"  # the second: files that were put aside
_FOR_US, _FOLDER_FOR_US = 0o600, 0o700


@dataclass(frozen=True, slots=True)
class Trail:
    """The file. Once it has `most` bytes it is put aside under the time's name; nothing is ever removed here."""

    folder: Path
    most: int

    @property
    def where(self) -> str:
        """Where messages go, for people."""
        return str(self.folder / NAME)

    def reach(self) -> str:
        """Whether it could be written; nothing is."""
        file = self.folder / NAME
        there = next(path for path in (file, *file.parents) if path.exists())
        if not os.access(there, os.W_OK):
            raise NotTaken(f"the audit file {self.where} cannot be written: {there} is not ours to write")
        return f"{self.where} can be written"

    def send(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append the messages; on disk when this returns. NotTaken where they cannot be: all are given again."""
        try:
            descriptor = self._open()
            try:
                _append(descriptor, "".join(f"{row['message']}\n" for row in rows).encode())
                os.fdatasync(descriptor)
                full = os.fstat(descriptor).st_size >= self.most
            finally:
                os.close(descriptor)
            if full:
                self._put_aside()
        except OSError as error:
            raise self._not_taken(error) from error

    def _open(self) -> int:
        self.folder.mkdir(mode=_FOLDER_FOR_US, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / NAME, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _FOR_US)
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, _FOR_US)
        return descriptor

    def _put_aside(self) -> None:
        """A name that none has: two files may fill within a second."""
        moment, number = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), 0
        while (aside := self.folder / f"audit-{moment}-{number}.log").exists():
            number += 1
        (self.folder / NAME).rename(aside)
        sync_folder(self.folder)

    def _not_taken(self, error: OSError) -> NotTaken:
        return NotTaken(f"the audit file {self.where} cannot be written: {error.strerror}")


def _append(descriptor: int, lines: bytes) -> None:
    """Whole lines behind whole lines: what a power cut or a full disk left of a line is ended first."""
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        lines = b"\n" + lines
    while lines:
        lines = lines[os.write(descriptor, lines) :]
