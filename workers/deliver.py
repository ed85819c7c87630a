"""The task `readfirst.deliver`: send what the outbox holds for one study and peer, and write down how it fared."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import structlog
from sqlalchemy import RowMapping

from node import outbox, scu
from node.ledger import Ledger, note, open_ledger
from node.scu import Outcome, Requestor
from node.settings import Settings

_log = structlog.get_logger(__name__)
LEASE = 300.0  # seconds; longer than one association with its time-outs lasts


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
            rows = outbox.claim(connection, study_instance_uid, peer, time.time(), LEASE)
        if not rows:
            return
        paths = [self.settings.node.data / row["path"] for row in rows]
        self._write_down(study_instance_uid, peer, rows, self._send(peer, paths))

    def _send(self, name: str, paths: Sequence[Path]) -> Sequence[Outcome]:
        peer = self.settings.receivers.get(name)
        if peer is None:
            return [Outcome(path, f"peer {name} is no longer configured to receive results") for path in paths]
        if peer.folder:
            return [_put_into(peer.folder, path) for path in paths]
        node = self.settings.node
        return scu.store(Requestor(node.ae_title, node.tls), peer, paths)

    def _write_down(self, uid: str, peer: str, rows: Sequence[RowMapping], outcomes: Sequence[Outcome]) -> None:
        now, errors = time.time(), {outcome.path.stem: outcome.error for outcome in outcomes}
        stored = [row for row in rows if not errors[row["sop_instance_uid"]]]
        with self.ledger.write() as connection:
            for row in rows:
                outbox.settle(connection, row, peer, errors[row["sop_instance_uid"]], now)
            if stored:
                kinds = ", ".join(row["kind"] for row in stored)
                note(connection, uid, now, "delivered", f"{len(stored)} objects to {peer}: {kinds}")
        _log.info("delivered", study=uid, peer=peer, stored=len(stored), failed=len(rows) - len(stored))


def _put_into(folder: Path, path: Path) -> Outcome:
    """A folder as an ordinary peer: the file appears there whole, or not at all."""
    try:
        target = folder / path.parent.name
        target.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(suffix=".part", dir=target)
        with os.fdopen(descriptor, "wb") as out, path.open("rb") as source:
            shutil.copyfileobj(source, out)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).replace(target / path.name)
    except OSError as error:
        return Outcome(path, f"the folder {folder} did not take it: {error.strerror}")
    return Outcome(path, "")
