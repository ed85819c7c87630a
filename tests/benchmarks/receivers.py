"""The receivers that `ingest` compares and that are Python: ours, ours without durability, plain pynetdicom."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def need(program: str) -> str:
    """Path of DCMTK's program: pynetdicom brings some of the same names into .venv/bin."""
    here = str(Path(sys.executable).parent)
    path = os.pathsep.join(one for one in os.environ["PATH"].split(os.pathsep) if one != here)
    found = shutil.which(program, path=path)
    if found is None:
        raise SystemExit(f"{program} is not installed (Debian: dcmtk)")
    return found


def serve_ours(folder: Path, port: int, *, durable: bool) -> None:
    """The node's own SCP, store and ledger."""
    from node import logs, scp
    from node.admission.associations import AssociationRegistry
    from node.ledger.engine import Ledger, sqlite_url
    from node.receiving.c_store import Receiver
    from node.receiving.store import Store
    from node.settings import Limits, Node, Settings

    settings = Settings(
        node=Node(port=port, data=folder, min_free_mb=0, accept_unknown=True, max_associations=64),
        limits=Limits(associations_per_peer=64),
    )
    logs.configure()
    ledger = Ledger(sqlite_url(folder))
    ledger.migrate()
    store = Store(folder, 0)
    store.prepare()
    if not durable:
        _switch_off(ledger)
    scp.start(Receiver(settings, ledger, store, AssociationRegistry(settings)))


def _switch_off(ledger: Any) -> None:
    from node.ledger.group_commit import GroupCommit
    from node.receiving import instances

    @contextmanager
    def write() -> Any:
        yield None

    ledger.grouped = GroupCommit(write)
    instances.record_instance = lambda *_: instances.Recorded(new=True, conflict=False, generation=1)
    os.fdatasync = os.fsync = lambda _descriptor: None
    os.posix_fadvise = lambda *_: None


def serve_plain(folder: Path, port: int) -> None:
    """pynetdicom as its documentation has it, with the raw bytes written and fdatasync before Success."""
    from pynetdicom import AE, evt
    from pynetdicom.events import Event
    from pynetdicom.presentation import AllStoragePresentationContexts

    def keep(event: Event) -> int:
        with (folder / f"{event.request.AffectedSOPInstanceUID}.dcm").open("wb") as file:
            file.write(event.encoded_dataset())
            file.flush()
            os.fdatasync(file.fileno())
        return 0

    ae = AE("READFIRST")
    ae.maximum_associations = 64
    ae.supported_contexts = AllStoragePresentationContexts
    ae.maximum_pdu_size = 262144
    ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])


def patched_pynetdicom(room: Path) -> Path:
    """A folder with a copy of pynetdicom that has the patch of deploy/upstream."""
    import pynetdicom

    folder = room / "patched"
    shutil.copytree(Path(pynetdicom.__file__).parent, folder / "pynetdicom")
    patch = Path(__file__).parents[2] / "deploy/upstream/pynetdicom-3.0.4-receive.patch"
    subprocess.run(["git", "apply", "-p1", patch], cwd=folder, check=True, env=os.environ | {"GIT_DIR": "/dev/null"})
    return folder


if __name__ == "__main__":
    kind, into, at = sys.argv[1:]
    if kind in ("pynetdicom", "patched"):
        serve_plain(Path(into), int(at))
    else:
        serve_ours(Path(into), int(at), durable=kind == "readfirst")
    threading.Event().wait()
