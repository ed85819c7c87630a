"""A PACS in a process of its own that keeps what it takes, commits to it, and misbehaves as it is told.

Arguments: port, folder, port of the node. Each object becomes `folder/<SOP Instance UID>/<SHA-256 of its Data Set>`;
the file `manner` says how it behaves: empty, "refuse-seg" (0x0122 for Segmentation) or "abort" (in the middle of the
next object). Every second result of storage commitment is sent over an association of its own. What it vouched for, by
such a result or by a query, is a file in `folder/vouched`.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ports import free_port
from pydicom import Dataset
from pydicom.uid import SegmentationStorage
from pynetdicom import AE, Association, StoragePresentationContexts, build_role, evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import StorageCommitmentPushModel, StudyRootQueryRetrieveInformationModelFind

from node.commitment.messages import INSTANCE, CommitmentResult, Request, read_request, write_result
from node.processes import die_with_parent

NAME = "ARCHIVE"
_VOUCHED = "vouched"
_UNKNOWN = 0x0112  # PS3.3 C.14.1.1: no such object instance
_COMMITMENT, _FIND = StorageCommitmentPushModel, StudyRootQueryRetrieveInformationModelFind
_ROOT = Path(__file__).resolve().parents[3]
_ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"  # A-ABORT by the service-user, PS3.8 9.3.8


class Archive:
    """The process; it may be killed, and started again on the same port."""

    def __init__(self, folder: Path, node_port: int) -> None:
        self.folder, self.port, self._node_port = folder, free_port(), node_port
        (folder / _VOUCHED).mkdir(parents=True)
        self.behave("")

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [sys.executable, "-m", __spec__.name, str(self.port), str(self.folder), str(self._node_port)]
        self.process = subprocess.Popen(
            command,
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline()

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.communicate()

    def behave(self, manner: str) -> None:
        """From now on."""
        (self.folder / "manner").write_text(manner)

    def aborted(self) -> int:
        """How often it aborted in the middle of an object."""
        return len(list(self.folder.glob("aborted-*")))

    def held(self) -> dict[str, list[str]]:
        """SOP Instance UID to the hashes of the contents that it was sent."""
        objects = (one for one in self.folder.iterdir() if one.is_dir() and one.name != _VOUCHED)
        return {one.name: [two.name for two in one.iterdir()] for one in objects}

    def vouched(self) -> set[str]:
        """SOP Instance UIDs that it committed to or showed to a query."""
        return {one.name for one in (self.folder / _VOUCHED).iterdir()}


def on_store(event: Any, folder: Path) -> int:
    if (folder / "manner").read_text() == "refuse-seg" and event.request.AffectedSOPClassUID == SegmentationStorage:
        return 0x0122
    content = event.encoded_dataset(include_meta=False)
    one = folder / str(event.request.AffectedSOPInstanceUID)
    one.mkdir(exist_ok=True)
    (one / hashlib.sha256(content).hexdigest()).write_bytes(content)
    return 0x0000


class Committing:
    """Storage commitment: every second result over the association of the request, the others over their own."""

    def __init__(self, folder: Path, node_port: int) -> None:
        self._folder, self._node_port, self._requests = folder, node_port, 0

    def on_action(self, event: Any) -> tuple[int, None]:
        self._requests += 1
        send = self._over_its_own if self._requests % 2 else self._over
        threading.Thread(target=send, args=(event.assoc, read_request(event.action_information)), daemon=True).start()
        return 0x0000, None

    def on_find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        for uid in [one.name for one in self._folder.iterdir() if one.is_dir() and one.name != _VOUCHED]:
            self._vouch(uid)
            match = Dataset()
            match.SOPInstanceUID = uid
            yield 0xFF00, match
        yield 0x0000, None

    def _over(self, association: Association, request: Request) -> None:
        time.sleep(0.05)  # behind the answer to N-ACTION
        references = frozenset(request.references)
        failed = {one: _UNKNOWN for one in references if not (self._folder / one.sop_instance_uid).is_dir()}
        for one in references - failed.keys():
            self._vouch(one.sop_instance_uid)
        event_type, information = write_result(
            CommitmentResult(request.transaction_uid, references - failed.keys(), failed)
        )
        with suppress(RuntimeError, ValueError):  # the node was killed: it asks again, or queries
            association.send_n_event_report(information, event_type, _COMMITMENT, INSTANCE)

    def _over_its_own(self, _association: Association, request: Request) -> None:
        ae = AE(NAME)
        ae.add_requested_context(_COMMITMENT)
        roles = [build_role(_COMMITMENT, scp_role=True)]
        association = ae.associate("127.0.0.1", self._node_port, ae_title="READFIRST", ext_neg=roles)
        if association.is_established:
            self._over(association, request)
            association.release()

    def _vouch(self, uid: str) -> None:
        (self._folder / _VOUCHED / uid).touch()


def on_pdu(event: Any, folder: Path) -> None:
    """Abort after the first P-DATA-TF of a Data Set of which more come."""
    if not isinstance(event.pdu, P_DATA_TF) or (folder / "manner").read_text() != "abort":
        return
    controls = [item.presentation_data_value[0] for item in event.pdu.presentation_data_value_items]
    if controls == [0]:
        (folder / f"aborted-{time.time_ns()}").touch()
        connection = event.assoc.dul.socket
        connection.socket.sendall(_ABORT)
        connection.close()


def main(port: int, folder: Path, node_port: int) -> None:
    ae, committing = AE(NAME), Committing(folder, node_port)
    ae.maximum_pdu_size = 4096  # so that an object has many
    for context in StoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax, list(context.transfer_syntax or ()))
    ae.add_supported_context(SegmentationStorage)
    ae.add_supported_context(_COMMITMENT)
    ae.add_supported_context(_FIND)
    handlers = [
        (evt.EVT_C_STORE, on_store, [folder]), (evt.EVT_PDU_RECV, on_pdu, [folder]),
        (evt.EVT_N_ACTION, committing.on_action), (evt.EVT_C_FIND, committing.on_find),
    ]  # fmt: skip
    ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    print("listening", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
