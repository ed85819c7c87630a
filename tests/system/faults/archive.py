"""A storage SCP in a process of its own that keeps what it takes, and misbehaves as it is told.

Arguments: port, folder. Each object becomes `folder/<SOP Instance UID>/<SHA-256 of its Data Set>`; the file `manner`
says how it behaves: empty, "refuse-seg" (0x0122 for Segmentation) or "abort" (in the middle of the next object).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ports import free_port
from pydicom.uid import SegmentationStorage
from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.pdu import P_DATA_TF

from node.processes import die_with_parent

NAME = "ARCHIVE"
_ROOT = Path(__file__).resolve().parents[3]
_ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"  # A-ABORT by the service-user, PS3.8 9.3.8


class Archive:
    """The process; it may be killed, and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir()
        self.behave("")

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [sys.executable, "-m", __spec__.name, str(self.port), str(self.folder)]
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
        return {one.name: [two.name for two in one.iterdir()] for one in self.folder.iterdir() if one.is_dir()}


def on_store(event: Any, folder: Path) -> int:
    if (folder / "manner").read_text() == "refuse-seg" and event.request.AffectedSOPClassUID == SegmentationStorage:
        return 0x0122
    content = event.encoded_dataset(include_meta=False)
    one = folder / str(event.request.AffectedSOPInstanceUID)
    one.mkdir(exist_ok=True)
    (one / hashlib.sha256(content).hexdigest()).write_bytes(content)
    return 0x0000


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


def main(port: int, folder: Path) -> None:
    ae = AE(NAME)
    ae.maximum_pdu_size = 4096  # so that an object has many
    for context in StoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax, list(context.transfer_syntax or ()))
    ae.add_supported_context(SegmentationStorage)
    handlers = [(evt.EVT_C_STORE, on_store, [folder]), (evt.EVT_PDU_RECV, on_pdu, [folder])]
    ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    print("listening", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
