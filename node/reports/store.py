"""Reports on disk: one file a study, in place before the message is acknowledged."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

from node.data_folder import SpaceGuard
from node.durable import replace_file
from node.errors import OutOfResources
from node.reports.reading import ReceivedReport
from node.settings import Settings

ENDING = ".report.json"
_RANK = {"preliminary": 0, "final": 1, "corrected": 2}


class ReportStore:
    """Durable reports below one folder, for this user alone; safe to use from several threads.

    Parameters
    ----------
    folder
        Made when the first report is kept.
    min_free_bytes
        Below this much free space nothing is written any more.
    """

    def __init__(self, folder: Path, min_free_bytes: int = 0) -> None:
        self.folder, self._least = folder, min_free_bytes
        self._lock = threading.Lock()

    def keep(self, report: ReceivedReport) -> bool:
        """Keep a report, or leave the one that is there; True where it is now on disk.

        A final report replaces a preliminary one, a corrected one both, an equal status the older one. A canceled one
        takes its place without text.

        Raises
        ------
        OutOfResources
            It cannot be written; the message may be sent again.
        """
        path = self.folder / f"{_name(report)}{ENDING}"
        content = json.dumps(asdict(report), ensure_ascii=False).encode()
        with self._lock:
            try:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                SpaceGuard(self.folder, self._least).check(len(content))
                held = _read(path) if path.exists() else None
                if held is not None and not _replaces(report, held):
                    return False
                replace_file(path, content)
            except OSError as error:
                raise OutOfResources(f"the report cannot be written: {error.strerror}") from error
        return True

    def all(self) -> Iterator[ReceivedReport]:
        """Every report, by the name of its file."""
        return (report for _path, report in self.files())

    def files(self) -> Iterator[tuple[Path, ReceivedReport]]:
        """Every report with its file."""
        for path in sorted(self.folder.glob(f"*{ENDING}")):
            found = _read(path)
            if found is not None:
                yield path, found


def report_store(settings: Settings) -> ReportStore | None:
    """The store that the settings name; None where no report is kept."""
    if not settings.reports.enabled:
        return None
    return ReportStore(folder_of(settings), settings.node.min_free_mb << 20)


def folder_of(settings: Settings) -> Path:
    """Where reports are kept."""
    return settings.reports.folder or settings.node.data / "reports"


def _name(report: ReceivedReport) -> str:
    """Of the accession number, without one of the study: a digest, so that no number becomes a path."""
    key = report.accession_number or report.study_instance_uid
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _replaces(new: ReceivedReport, held: ReceivedReport) -> bool:
    if new.status == "canceled" or held.status == "canceled":
        return new.sent_at >= held.sent_at
    rank, other = _RANK[new.status], _RANK[held.status]
    return rank > other or (rank == other and new.sent_at >= held.sent_at)


def _read(path: Path) -> ReceivedReport | None:
    """None where the file is none of ours."""
    try:
        found = json.loads(path.read_bytes())
        values = {one.name: found[one.name] for one in fields(ReceivedReport)}
    except (ValueError, KeyError, TypeError):
        return None
    lists = {key: tuple(values[key]) for key in ("names", "numbers", "dates")}
    return ReceivedReport(**(values | lists))
