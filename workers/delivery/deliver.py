"""The task `readfirst.deliver`: send what is due for a peer, study by study, and record how it ended.

Each peer has a lane of its own: a thread that sends as long as something is due, and hinders no other peer's.
"""

from __future__ import annotations

import stat
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import structlog
from sqlalchemy import Connection, RowMapping

from node.audit import Recorder
from node.dicom.headers import read_attributes
from node.durable import replace_file
from node.entities import JobState
from node.errors import ReadFirstError, UnreadableInstance
from node.ledger import jobs
from node.ledger.engine import Ledger, note, open_ledger
from node.loops import KeyedExecutor
from node.plurals import counted
from node.sending import circuits, deliveries, scu
from node.sending.scu import Requestor, SendResult
from node.settings import Settings
from workers.delivery import fallback
from workers.lease import extended, record

_log = structlog.get_logger(__name__)
_PATIENT_ID = frozenset({0x00100020})
_ByPatient = Mapping[str, Sequence[RowMapping]]
_END_SECONDS = 25.0  # for what is under way when the worker ends; the node waits a little longer for the worker


class Deliverer:
    """What one worker process needs to deliver; nothing is opened before it is first used, so it may be forked."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def ledger(self) -> Ledger:
        """The node's ledger."""
        return open_ledger(self.settings)

    @cached_property
    def lanes(self) -> KeyedExecutor[str]:
        """A thread for each peer that is being sent something."""
        return KeyedExecutor("deliver", self.serve)

    def notify(self, study_instance_uid: str, peer: str) -> None:
        """Something is due for a peer: its lane sends it. Returns at once."""
        self.lanes.submit(peer, again=True)

    def close(self) -> None:
        """Begin with no further study, and wait a while for those that are being sent."""
        self.lanes.close(_END_SECONDS)

    def serve(self, peer: str) -> None:
        """Send a peer all that is due for it, until nothing is."""
        try:
            while not self.lanes.closed:
                with self.ledger.read() as connection:
                    uid = deliveries.next_study(connection, peer, time.time())
                if uid is None or not self.run(uid, peer):
                    return
        except ReadFirstError as error:
            _log.error("delivering failed, it is tried again", peer=peer, reason=str(error))
        except Exception:  # noqa: BLE001  # outermost of its thread: the next message begins anew
            _log.exception("delivering failed, it is tried again", peer=peer)

    def run(self, study_instance_uid: str, peer: str) -> bool:
        """Send what is due for a study; safe to call any number of times. Whether there was something to be sent."""
        with self.ledger.write() as connection:
            rows = deliveries.claim(connection, study_instance_uid, peer, time.time())
        if not rows:
            return False
        paths = [self.settings.node.data / row["path"] for row in rows]
        ids = [row["id"] for row in rows]
        with extended(self.ledger, lambda connection, until: jobs.extend(connection, ids, until)):
            by_patient = _by_patient(rows, paths)
            self._audit_begin(study_instance_uid, peer, by_patient)
            outcomes = self._outcomes(study_instance_uid, peer, paths)
            self._audit_end(study_instance_uid, peer, by_patient, outcomes)  # first: if killed, it is made again
            record(self.ledger, lambda connection: self._record(connection, study_instance_uid, peer, rows, outcomes))
        return True

    @cached_property
    def audit(self) -> Recorder:
        """Makes audit messages; the node sends them."""
        return Recorder(self.settings, self.ledger)

    def _audit_begin(self, uid: str, name: str, by_patient: _ByPatient) -> None:
        if peer := self.settings.receivers.get(name):
            for patient_id, rows in by_patient.items():
                self.audit.sending(peer, uid, Counter(row["sop_class_uid"] for row in rows), patient_id)

    def _audit_end(self, uid: str, name: str, by_patient: _ByPatient, outcomes: Sequence[SendResult]) -> None:
        peer, errors = self.settings.receivers.get(name), {outcome.path.stem: outcome.error for outcome in outcomes}
        if peer is None:
            return
        for patient_id, rows in by_patient.items():
            stored, failed = Counter[str](), Counter[str]()
            for row in rows:
                (failed if errors[row["sop_instance_uid"]] else stored)[row["sop_class_uid"]] += 1
            reason = next((error for row in rows if (error := errors[row["sop_instance_uid"]])), "")
            self.audit.sent(peer, uid, stored, failed, reason, patient_id)

    def _outcomes(self, uid: str, peer: str, paths: Sequence[Path]) -> Sequence[SendResult]:
        """However sending ends, each object has a result: none is left claimed and unrecorded."""
        try:
            return self._send(peer, paths)
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
        return scu.store(Requestor.of(self.settings), peer, paths)

    def _record(
        self, connection: Connection, uid: str, peer: str, rows: Sequence[RowMapping], outcomes: Sequence[SendResult]
    ) -> None:
        now, sent = time.time(), {outcome.path.stem: outcome for outcome in outcomes}
        _record_circuit(connection, uid, peer, outcomes, now)
        errors = {row["sop_instance_uid"]: sent[row["sop_instance_uid"]].error for row in rows}
        stored = [row for row in rows if not errors[row["sop_instance_uid"]]]
        taken = JobState.STORED if peer in self.settings.committers else JobState.DELIVERED
        for row in rows:
            fallback.record_sent(connection, row, peer, sent[row["sop_instance_uid"]], now, taken)
        if stored:
            kinds = ", ".join(row["kind"] for row in stored)
            note(connection, uid, now, taken, f"{counted(len(stored), 'object')} to {peer}: {kinds}")
        failed = [error for error in errors.values() if error]
        if failed:
            counts = {"stored": len(stored), "failed": len(failed)}
            _log.warning("not delivered", study=uid, peer=peer, **counts, reason=failed[0])
        else:
            _log.info(str(taken), study=uid, peer=peer, stored=len(stored))


def _by_patient(rows: Sequence[RowMapping], paths: Sequence[Path]) -> _ByPatient:
    """The objects of each patient of the study, by the Patient ID in them; of one that cannot be read it is empty."""
    found: dict[str, list[RowMapping]] = {}
    for row, path in zip(rows, paths, strict=True):
        try:
            patient_id = str(read_attributes(path, _PATIENT_ID).get("PatientID") or "").strip()
        except UnreadableInstance:  # sending says why
            patient_id = ""
        found.setdefault(patient_id, []).append(row)
    return found


def _record_circuit(connection: Connection, uid: str, peer: str, outcomes: Sequence[SendResult], now: float) -> None:
    """Whether the peer did what it should; an object that it refuses is no fault of the peer's."""
    error = next((outcome.error for outcome in outcomes if outcome.peer_failed), "")
    if not error and circuits.record_answer(connection, peer, now):
        _log.warning("the peer answers again, all that waits for it is sent", peer=peer)
    elif error and circuits.record_failure(connection, peer, uid, error, now):
        _log.error("the peer fails again and again: it is only probed, the rest waits", peer=peer, reason=error)


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
        return SendResult(path, f"the folder {folder} did not take it: {error.strerror}", peer_failed=True)
    return SendResult(path, "")


def _open_like(folder: Path, target: Path, file: Path) -> None:
    """Whom the site lets into the folder may read what is in it, though our own files are for us alone."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    with suppress(PermissionError):  # a folder of another user's that is there already stays as it is
        target.chmod(mode)
    file.chmod(mode & 0o666)
