"""The task `readfirst.deliver`: send what is due for one study and peer, and record how it ended."""

from __future__ import annotations

import stat
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from sqlalchemy import Connection, RowMapping

from node.audit import Recorder
from node.durable import replace_file
from node.entities import JobState
from node.errors import ReadFirstError
from node.ledger import jobs
from node.ledger.engine import Ledger, note, open_ledger
from node.sending import deliveries, scu
from node.sending.scu import Requestor, SendResult
from node.settings import Settings
from workers.delivery import fallback
from workers.lease import extended, record

_log = structlog.get_logger(__name__)


class Deliverer:
    """What one worker process needs to deliver; nothing is opened before it is first used, so it may be forked."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def ledger(self) -> Ledger:
        """The node's ledger."""
        return open_ledger(self.settings)

    def run(self, study_instance_uid: str, peer: str) -> None:
        """Send what is due; safe to call any number of times."""
        with self.ledger.write() as connection:
            rows = deliveries.claim(connection, study_instance_uid, peer, time.time())
        if not rows:
            return
        paths = [self.settings.node.data / row["path"] for row in rows]
        ids = [row["id"] for row in rows]
        with extended(self.ledger, lambda connection, until: jobs.extend(connection, ids, until)):
            self._audit_begin(study_instance_uid, peer, rows)
            outcomes = self._outcomes(study_instance_uid, peer, paths)
            self._audit_end(study_instance_uid, peer, rows, outcomes)  # first: killed in between, it is audited again
            record(self.ledger, lambda connection: self._record(connection, study_instance_uid, peer, rows, outcomes))

    @cached_property
    def audit(self) -> Recorder:
        """Makes audit messages; the node sends them."""
        return Recorder(self.settings, self.ledger)

    def _audit_begin(self, uid: str, name: str, rows: Sequence[RowMapping]) -> None:
        if peer := self.settings.receivers.get(name):
            self.audit.sending(peer, uid, Counter(row["sop_class_uid"] for row in rows))

    def _audit_end(self, uid: str, name: str, rows: Sequence[RowMapping], outcomes: Sequence[SendResult]) -> None:
        errors = {outcome.path.stem: outcome.error for outcome in outcomes}
        stored, failed = Counter[str](), Counter[str]()
        for row in rows:
            (failed if errors[row["sop_instance_uid"]] else stored)[row["sop_class_uid"]] += 1
        if peer := self.settings.receivers.get(name):
            self.audit.sent(peer, uid, stored, failed, next(filter(None, errors.values()), ""))

    def _outcomes(self, uid: str, peer: str, paths: Sequence[Path]) -> Sequence[SendResult]:
        """However sending ends, each object has a result: none is left claimed and unrecorded."""
        try:
            return self._send(peer, paths)
        except SoftTimeLimitExceeded:
            error = "it took longer than a delivery may"
        except ReadFirstError as fault:
            error = str(fault)
        except Exception as fault:  # noqa: BLE001  # outermost: a bug of ours must not keep the objects claimed
            _log.exception("delivery failed", study=uid, peer=peer)
            error = f"{type(fault).__name__} in our software; see the worker's log"
        return [SendResult(path, error) for path in paths]

    def _send(self, name: str, paths: Sequence[Path]) -> Sequence[SendResult]:
        peer = self.settings.receivers.get(name)
        if peer is None:
            return [SendResult(path, f"peer {name} is no longer configured to receive results") for path in paths]
        if peer.folder:
            return [_put_into(peer.folder, path) for path in paths]
        node = self.settings.node
        return scu.store(Requestor(node.ae_title, node.tls), peer, paths)

    def _record(
        self, connection: Connection, uid: str, peer: str, rows: Sequence[RowMapping], outcomes: Sequence[SendResult]
    ) -> None:
        now, sent = time.time(), {outcome.path.stem: outcome for outcome in outcomes}
        errors = {row["sop_instance_uid"]: sent[row["sop_instance_uid"]].error for row in rows}
        stored = [row for row in rows if not errors[row["sop_instance_uid"]]]
        taken = JobState.STORED if peer in self.settings.committers else JobState.DELIVERED
        for row in rows:
            fallback.record_sent(connection, row, peer, sent[row["sop_instance_uid"]], now, taken)
        if stored:
            kinds = ", ".join(row["kind"] for row in stored)
            note(connection, uid, now, taken, f"{len(stored)} objects to {peer}: {kinds}")
        failed = [error for error in errors.values() if error]
        if failed:
            counts = {"stored": len(stored), "failed": len(failed)}
            _log.warning("not delivered", study=uid, peer=peer, **counts, reason=failed[0])
        else:
            _log.info(str(taken), study=uid, peer=peer, stored=len(stored))


def _put_into(folder: Path, path: Path) -> SendResult:
    """A folder as an ordinary peer: the file appears there whole, or not at all."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return SendResult(path, f"the file cannot be read: {error.strerror}")
    try:
        target = folder / path.parent.name
        target.mkdir(parents=True, exist_ok=True)
        replace_file(target / path.name, content)
        _open_like(folder, target, target / path.name)
    except OSError as error:
        return SendResult(path, f"the folder {folder} did not take it: {error.strerror}")
    return SendResult(path, "")


def _open_like(folder: Path, target: Path, file: Path) -> None:
    """Whom the site lets into the folder may read what is in it, though our own files are for us alone."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    with suppress(PermissionError):  # a folder of another user's that is there already stays as it is
        target.chmod(mode)
    file.chmod(mode & 0o666)
