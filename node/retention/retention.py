"""The loop of `[retention]`: what is marked is deleted; where space is short, and then by age, more is marked."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

import structlog
from sqlalchemy import func, select

from node.audit import Recorder
from node.audit.patients import patient_ids
from node.entities import Part
from node.errors import PeerError
from node.ledger import deletion
from node.ledger.engine import Ledger
from node.ledger.tables import INSTANCE
from node.loops import Loop
from node.retention import due, others
from node.retention.deleting import FOLDERS, PAUSE, Deleted, Deleter
from node.retention.holding import Holders
from node.settings import Settings

_log = structlog.get_logger(__name__)
BY = "retention"
_TICK, _PASS, _NOTHING = 2.0, 60.0, 30.0  # seconds between looks; between passes by age; after finding no room to make
_BATCH, _EARLY = 50, 5  # studies that are looked at together; where each makes room
_LOG_AGAIN = 3600.0
_EMERGENCY = (Part.IMAGES, Part.RESULTS, Part.PICTURES, Part.QUARANTINE)  # what goes first where space is short


class Retention(Loop):
    """Deletes what may go; `run` in a thread of its own until `stop`.

    Parameters
    ----------
    deleted
        Called with each step that removed something.
    free
        Free bytes on the disk of the data folder.
    """

    def __init__(
        self, settings: Settings, ledger: Ledger, audit: Recorder,
        deleted: Callable[[Deleted], None] = lambda _step: None, clock: Callable[[], float] = time.time,
        free: Callable[[], int] | None = None,
    ) -> None:  # fmt: skip
        super().__init__("retention waits")
        self._settings, self._keys, self._ledger, self._clock = settings, settings.retention, ledger, clock
        self._deleter = Deleter(ledger, settings.node.data, audit, clock)
        self._holders, self._deleted = Holders(settings, ledger, audit), deleted
        self._free = free or (lambda: shutil.disk_usage(settings.node.data).free)
        self._pass_at = self._room_at = self._log_at = 0.0  # by the monotonic clock

    def step(self) -> float:
        """Finish what is marked, then make room, then go by age; the seconds until the next look."""
        self._finish_marked()
        if self._keys.enabled:
            if time.monotonic() >= self._room_at:
                self._make_room()
            if time.monotonic() >= self._pass_at:
                self.pass_by_age()
                self._pass_at = time.monotonic() + _PASS
        return _TICK

    def pass_by_age(self) -> None:
        """Delete all that is old enough, or more than its part may take."""
        for part in Part:
            self._while(lambda part=part: self._delete(part, _BATCH))  # type: ignore[misc]
        for part in _EMERGENCY:
            limit: float = getattr(self._keys, f"{part}_gb") * 2**30
            if limit:
                self._shrink(part, self._size(part) - limit)
        others.forget(self._settings, self._ledger, self._clock())

    def _while(self, work: Callable[[], int]) -> None:
        while not self._stopping.is_set() and work():
            pass

    def _finish_marked(self) -> None:
        with self._ledger.read() as connection:
            uids = [row["study_instance_uid"] for row in deletion.marked(connection)]
        for uid in uids:
            self._finish(uid)

    def _finish(self, study_instance_uid: str) -> int:
        """Delete to the end what is marked of a study; its bytes."""
        size = 0
        while not self._stopping.is_set() and (done := self._deleter.step(study_instance_uid)):
            size += done.size
            self._deleted(done)
            self._stopping.wait(PAUSE)
        return size

    def _is_short(self) -> bool:
        wanted = (self._settings.node.min_free_mb + self._keys.reserve_mb) << 20
        return self._keys.reserve_mb > 0 and self._free() < wanted

    def _make_room(self) -> None:
        """Below the watermark: part by part in the order of the emergency, until there is room."""
        for part in _EMERGENCY:
            while self._is_short() and not self._stopping.is_set():
                if not self._delete(part, _EARLY, early=True):
                    break
        if self._is_short():
            self._room_at = time.monotonic() + _NOTHING
            if time.monotonic() >= self._log_at:
                self._log_at = time.monotonic() + _LOG_AGAIN
                _log.error("little space is left, and nothing more may be deleted", free_mb=self._free() >> 20)

    def _shrink(self, part: Part, excess: float) -> None:
        while excess > 0 and not self._stopping.is_set():
            before = self._size(part)
            if not self._delete(part, _EARLY, early=True):
                return
            excess -= before - self._size(part)

    def _size(self, part: Part) -> int:
        """Bytes that a part takes."""
        if part is Part.IMAGES:
            with self._ledger.read() as connection:
                return int(connection.execute(select(func.coalesce(func.sum(INSTANCE.c.size), 0))).scalar_one())
        root = self._settings.node.data / FOLDERS[part]
        return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())

    def _delete(self, part: Part, limit: int, *, early: bool = False) -> int:
        """Delete a part of some studies of which it may go; how many were looked at."""
        now = self._clock()
        uids = self._candidates(part, limit, now, early=early)
        asks = part is Part.IMAGES and self._holders.can_be_asked
        try:
            holders = self._holders.of(uids) if asks and uids else {}
        except PeerError as error:
            _log.warning("images stay", studies=len(uids), reason=str(error))
            return 0
        if refused := [uid for uid in uids if asks and uid not in holders]:
            _log.info("images stay, no peer shows each of them", studies=len(refused))
            with self._ledger.write() as connection:
                deletion.set_checked(connection, refused, now)
        reason = "for want of space" if early else f"after {getattr(self._keys, f'{part}_days'):g} days"
        for uid in uids:
            if uid not in refused and self._mark(uid, part, reason + _held(holders.get(uid)), now, early=early):
                self._finish(uid)
        return len(uids)

    def _candidates(self, part: Part, limit: int, now: float, *, early: bool) -> list[str]:
        asked = self._holders.can_be_asked
        with self._ledger.read() as connection:
            if part is not Part.QUARANTINE:
                return list(due.studies(connection, part, self._keys, now, limit, early=early, asked=asked))
            found: list[str] = []
            for folder in (self._settings.node.data / FOLDERS[part]).glob("*"):
                found += due.studies(connection, part, self._keys, now, 1, early=early, asked=asked, only=folder.name)
            return found[:limit]

    def _mark(self, uid: str, part: Part, why: str, now: float, *, early: bool) -> bool:
        """Mark it, if it still may go as it was read at `now`."""
        asked = self._holders.can_be_asked
        with self._ledger.write() as connection:
            found = due.studies(connection, part, self._keys, now, 1, early=early, asked=asked, only=uid)
            patients = patient_ids(connection, uid) if found else ()
            marked = bool(found) and deletion.begin(connection, uid, (part,), BY, why, now, patients)
        if marked:
            _log.info("deleting", study=uid, part=part.value, reason=why)
        return marked


def _held(name: str | None) -> str:
    return f", {name} shows each of them" if name else ""
