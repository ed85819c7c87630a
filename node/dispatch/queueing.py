"""Complete studies are queued for their analysis, many in one transaction; a study that cannot be fails by itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import structlog
from pydicom import Dataset
from sqlalchemy import Connection, RowMapping

from node.backoff import pause_after
from node.errors import ReadFirstError
from node.ledger import studies
from node.ledger.engine import Ledger
from node.ledger.studies import MOST_ATTEMPTS
from node.worklist.reading import work_items

_log = structlog.get_logger(__name__)
OnComplete = Callable[[Connection, str, float], None]
"""Writes what else is to be written of a study that is complete, given its Study Instance UID and the time."""


@dataclass(frozen=True, slots=True)
class Complete:
    """A study that still receives, as `studies.receiving` has it, and the evidence that it is complete."""

    row: RowMapping
    evidence: str

    @property
    def uid(self) -> str:
        """Study Instance UID."""
        return str(self.row["study_instance_uid"])


class Queueing:
    """Queues studies; of one thread.

    Each attempt is counted in the ledger before it is made, so that one which ends the process counts, too. A study
    that cannot be queued is tried again after a growing pause; after `MOST_ATTEMPTS` it has failed, with the reason in
    the worklist. That the ledger takes nothing is no fault of the study's, and counts once however often it is tried.
    """

    def __init__(self, ledger: Ledger, on_complete: OnComplete) -> None:
        self._ledger, self._on_complete = ledger, on_complete
        self._counted: set[str] = set()  # studies whose attempt is counted and not made yet
        self._due: dict[str, float] = {}  # when those that failed are tried again

    def is_due(self, study_instance_uid: str, now: float) -> bool:
        """Whether it may be tried now."""
        return self._due.get(study_instance_uid, now) <= now

    def keep_only(self, study_instance_uids: Collection[str]) -> None:
        """Forget all other studies."""
        self._counted &= set(study_instance_uids)
        for uid in self._due.keys() - study_instance_uids:
            del self._due[uid]

    def queue(self, batch: Sequence[Complete], now: float) -> None:
        """Queue studies in one transaction; where one of them cannot be, each in its own."""
        new = [one for one in batch if one.uid not in self._counted]
        spent = [one for one in new if one.row["queue_attempts"] >= MOST_ATTEMPTS]
        for one in spent:
            self._fail(one, "the node ended each time", now)
        with self._ledger.write() as connection:
            studies.begin_queueing(connection, [one.uid for one in new])
        self._counted |= {one.uid for one in new}
        tried = [one for one in batch if one not in spent]
        try:
            self._write(tried, now)
        except ReadFirstError:
            raise
        except Exception as error:  # noqa: BLE001  # a bug of ours that one study meets must not hold the others back
            if len(tried) == 1:
                self._trouble(tried[0], error, now)
                return
            for one in tried:
                self.queue([one], now)

    def _write(self, batch: Sequence[Complete], now: float) -> None:
        done = []
        with self._ledger.write() as connection:
            for one in batch:
                if studies.complete(connection, one.row, one.evidence, now):
                    self._on_complete(connection, one.uid, now)
                    done.append(one)
        for one in batch:
            self._counted.discard(one.uid)
        for one in done:
            _log.info("study complete", study=one.uid, instances=one.row["instances"], evidence=one.evidence)

    def _trouble(self, one: Complete, error: Exception, now: float) -> None:
        self._counted.discard(one.uid)
        attempts = one.row["queue_attempts"] + 1
        _log.exception("a study cannot be queued", study=one.uid, attempt=attempts)
        if attempts >= MOST_ATTEMPTS:
            self._fail(one, f"{type(error).__name__} in our software, see the node's log", now)
        else:
            self._due[one.uid] = now + pause_after(attempts)

    def _fail(self, one: Complete, why: str, now: float) -> None:
        reason = f"the study could not be queued for its analysis in {MOST_ATTEMPTS} attempts: {why}"
        with self._ledger.write() as connection:
            failed = studies.fail_queueing(connection, one.uid, reason, now)
        if not failed:
            return
        _log.error("study failed", study=one.uid, reason=reason)
        header = Dataset()
        header.StudyInstanceUID = one.uid
        try:
            with self._ledger.write() as connection:
                work_items.ensure_item(connection, header, now)
                work_items.set_reason(connection, one.uid, reason, now)
        except ReadFirstError:
            raise
        except Exception:  # noqa: BLE001  # its state says so already
            _log.exception("a study that failed has no work item", study=one.uid)
