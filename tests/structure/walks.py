"""Which files of the source an instance, an order and a page request pass: a real node, traced.

A file counts where one of its functions runs during the walk that an idle node does not run.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom import dcmread
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification

from tests import low_thresholds

SAMPLE = Path("deploy/samples/chest-xray-pneumothorax")
ORDER = "\r".join(
    (
        "MSH|^~\\&|RIS|H|READFIRST|H|20260101120000||ORM^O01|7|P|2.5",
        "PID|1||1",
        "ORC|NW|P1|F1",
        "OBR|1|P1|F1|||||||||||||||ACC1|||||||||S",
        "",
    )
)
WALKS = (
    "idle",
    "an instance, from C-STORE to the delivered results",
    "an order, from HL7 to the ledger",
    "a study's page",
)
_TRACING = Path(__file__).with_name("tracing")
_PATIENCE, _IDLE = 180.0, 15.0  # seconds


def walks(tree: Path, folder: Path) -> dict[str, list[str]]:
    """Walk to the files that it passes, relative to the tree.

    Parameters
    ----------
    tree
        A checkout of this project, this one or an earlier one.
    folder
        An empty one, for the node's data.
    """
    (folder / "walk").write_bytes(b"\0")
    with _pacs() as (port, received), _node(tree, folder, port) as node:
        sample = next((tree / SAMPLE).glob("*.dcm"))
        uid = str(dcmread(sample, stop_before_pixels=True).StudyInstanceUID)
        node.walk(1, lambda: time.sleep(_IDLE))
        node.walk(2, lambda: node.analyse(sample, received))
        node.walk(3, node.order)
        node.walk(4, lambda: node.page(uid))
    called = [line.split(" ") for line in (folder / "called").read_text().splitlines()]
    idle = {(file, function) for number, file, function in called if number == "1"}
    return {
        name: sorted({file for n, file, function in called if n == str(number) and (file, function) not in idle})
        for number, name in enumerate(WALKS, 1)
        if number > 1
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class _Node:
    def __init__(self, tree: Path, folder: Path, pacs: int) -> None:
        self._tree, self._folder = tree, folder
        self._port, self._web, self._mllp = _free_port(), _free_port(), _free_port()
        low_thresholds.write_package(tree / "models" / "zoo", folder / "models")  # three results, whatever its weights
        (folder / "readfirst.toml").write_text(
            f'[node]\nport = {self._port}\ndata = "{folder}/var"\nquiet_seconds = 0.5\n[web]\nport = {self._web}\n'
            f'[worklist.orders]\nport = {self._mllp}\n[worklist]\nsinks = ["ups"]\n'
            f'[models]\nfolder = "{folder}/models"\n'
            '[peers.scanner]\nae_title = "SCANNER"\nhost = "127.0.0.1"\nsend = ["images"]\n'
            f'[peers.pacs]\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {pacs}\nreceive = ["results"]\n'
        )
        self.log = folder / "node.log"
        traced = {"TESTS_TRACE": str(folder), "TESTS_TRACE_TREE": str(tree)}
        self._environment = os.environ | traced | {"PYTHONPATH": f"{_TRACING}:{tree}"}
        with self.log.open("wb") as log:
            command = [_python(tree), "-m", "node", "up", "--config", str(folder / "readfirst.toml")]
            self.process = subprocess.Popen(command, cwd=tree, env=self._environment, stdout=log, stderr=log)

    def until(self, holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not holds():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self.log.read_text(errors="replace")[-4000:])
            time.sleep(0.1)

    def walk(self, number: int, go: Callable[[], object]) -> None:
        with (self._folder / "walk").open("r+b") as file:
            file.write(bytes([number]))
        go()
        with (self._folder / "walk").open("r+b") as file:
            file.write(b"\0")

    def analyse(self, sample: Path, received: list[str]) -> None:
        to = f"READFIRST@127.0.0.1:{self._port}"
        command = [_python(self._tree), "-m", "node", "send", str(sample), "--to", to, "--as", "SCANNER"]
        untraced = {name: value for name, value in self._environment.items() if name != "TESTS_TRACE"}
        subprocess.run(command, cwd=self._tree, env=untraced, check=True, capture_output=True)
        self.until(lambda: len(received) >= 3)
        time.sleep(2)  # what is written down behind the last C-STORE

    def order(self) -> None:
        with socket.create_connection(("127.0.0.1", self._mllp), timeout=30) as line:
            line.sendall(b"\x0b" + ORDER.encode() + b"\x1c\r")
            answer = line.recv(4096)
        if b"MSA|AA" not in answer:
            raise RuntimeError(f"the order was not accepted: {answer!r}")

    def page(self, uid: str) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._web}/study/{uid}", timeout=30) as page:
            page.read()


def _python(tree: Path) -> str:
    """The tree's own, whose commands are that tree's."""
    own = tree / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


@contextmanager
def _node(tree: Path, folder: Path, pacs: int) -> Iterator[_Node]:
    node = _Node(tree, folder, pacs)
    try:
        node.until(
            lambda: all(word in node.log.read_text(errors="replace") for word in ("readfirst: ready", "worker ready"))
        )
        yield node
    finally:
        node.process.terminate()
        node.process.wait(60)


@contextmanager
def _pacs() -> Iterator[tuple[int, list[str]]]:
    """A receiver that takes everything, and the SOP Instance UIDs that it has."""
    received: list[str] = []
    ae = AE("PACS")
    ae.supported_contexts = AllStoragePresentationContexts
    ae.add_supported_context(Verification)

    def store(event: evt.Event) -> int:
        received.append(event.request.AffectedSOPInstanceUID)
        return 0x0000

    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield server.socket.getsockname()[1], received
    finally:
        server.shutdown()
