"""How long the worklist takes with 10,000 work items: C-FIND's first page and the web page. Run by hand:

    python -m tests.benchmarks.worklist [--items 10000] [--rounds 10]

The node's own SCP and web server answer in this process, over the network, on an SQLite ledger in a temporary folder.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import httpx
from ports import free_port
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.sop_class import UnifiedProcedureStepPull

from node import scp, web
from node.admission.associations import AssociationRegistry
from node.ledger.engine import Ledger, sqlite_url
from node.receiving.store import Store
from node.scp import Receiver
from node.settings import Node, Peer, Settings, Web
from node.worklist.reading import work_items

PAGE = 100  # work items of a first page


def fill(ledger: Ledger, count: int) -> None:
    """One reading item a study."""
    now = time.time()
    with ledger.write() as connection:
        for number in range(count):
            header = Dataset()
            header.StudyInstanceUID, header.AccessionNumber = f"1.2.{number + 1}", f"A{number}"
            header.PatientName, header.PatientID = f"Patient^{number}", f"P{number}"
            work_items.ensure_item(connection, header, now - number)


def first_page(ae: AE, port: int) -> float:
    """Seconds until C-FIND's first page is here; the association is not counted."""
    identifier = Dataset()
    for keyword in ("PatientName", "ScheduledProcedureStepPriority", "ProcedureStepLabel", "WorklistLabel"):
        setattr(identifier, keyword, "")
    identifier.ProcedureStepState = "SCHEDULED"
    association = ae.associate("127.0.0.1", port, ae_title="READFIRST")
    begin = time.perf_counter()
    answers = association.send_c_find(identifier, UnifiedProcedureStepPull)
    for _ in range(PAGE):
        next(answers)
    seconds = time.perf_counter() - begin
    association.abort()
    return seconds


def main() -> None:
    """Print the medians and the slowest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=10)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        data = Path(room)
        reader = Peer(ae_title="READER", host="127.0.0.1", receive=("results",), worklist=("read",))
        keys = Web(port=free_port())
        settings = Settings(node=Node(port=free_port(), data=data), web=keys, peers={"reader": reader})
        ledger = Ledger(sqlite_url(data))
        ledger.migrate()
        fill(ledger, chosen.items)
        server = scp.start(Receiver(settings, ledger, Store(data, 0), AssociationRegistry(settings)))
        context = web.PageContext(settings, ledger, b"k" * 32, lambda _: 0)
        ae = AE("READER")
        ae.add_requested_context(UnifiedProcedureStepPull, ImplicitVRLittleEndian)
        with web.serving(keys, web.make_app(context)), httpx.Client(trust_env=False) as client:
            found, pages = [], []
            for _ in range(chosen.rounds + 1):
                found.append(first_page(ae, settings.node.port))
                begin = time.perf_counter()
                client.get(f"http://127.0.0.1:{keys.port}/").raise_for_status()
                pages.append(time.perf_counter() - begin)
        server.shutdown()
        ledger.close()
    for name, seconds in ((f"C-FIND, first {PAGE}", found[1:]), ("web page", pages[1:])):
        print(f"{name:18} median {statistics.median(seconds) * 1000:4.0f} ms, slowest {max(seconds) * 1000:4.0f} ms")


if __name__ == "__main__":
    main()
