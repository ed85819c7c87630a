"""The spool: one folder of files that wait for a worker, and of answers. Nothing in it outlives its request.

A file is NAME.in until a worker takes it and makes it NAME.taken; its answer is NAME.answer: the HTTP status on the
first line, then JSON. Whoever gave the file in removes all of it. What a process leaves that was killed is removed at
the node's next start, or by age at the next file.
"""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from node.durable import PART

FOLDER = "predict"  # below the data folder
_NAME = re.compile(r"[0-9a-f]{32}")
_ENDS = (".in", ".taken", ".answer", f".answer{PART}")


@dataclass(frozen=True, slots=True)
class Spool:
    """The spool of a node, as node and workers see it."""

    folder: Path

    def prepare(self) -> None:
        """Make it, empty: what is there was left by a node that ended."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.sweep(older_than=float("inf"))

    def sweep(self, older_than: float) -> None:
        """Remove what was written before that time (seconds since 1970 UTC)."""
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < older_than:
                    path.unlink()

    def new(self) -> str:
        """A name that nobody can guess."""
        return secrets.token_hex(16)

    def incoming(self, name: str) -> Path:
        """Where a file is put."""
        return self._path(name, ".in")

    def take(self, name: str) -> Path | None:
        """The file, for the one who calls this first; None where it is taken or gone."""
        taken = self._path(name, ".taken")
        try:
            self._path(name, ".in").rename(taken)
        except FileNotFoundError:
            return None
        return taken

    def is_waiting(self, name: str) -> bool:
        """Whether no worker took it yet."""
        return self._path(name, ".in").exists()

    def answer(self, name: str, status: int, body: str) -> None:
        """Answer a file that was taken, unless nobody waits for it any more."""
        part, taken = self._path(name, f".answer{PART}"), self._path(name, ".taken")
        part.write_text(f"{status}\n{body}", encoding="utf-8")
        try:
            taken.unlink()
        except FileNotFoundError:
            part.unlink(missing_ok=True)
            return
        part.replace(self._path(name, ".answer"))

    def answered(self, name: str) -> tuple[int, bytes] | None:
        """Status and body of the answer, None where there is none yet."""
        try:
            status, _, body = self._path(name, ".answer").read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        return int(status), body

    def forget(self, name: str) -> None:
        """Remove all of it."""
        for end in _ENDS:
            self._path(name, end).unlink(missing_ok=True)

    def _path(self, name: str, end: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError("no name of the spool")
        return self.folder / f"{name}{end}"
