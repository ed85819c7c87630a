"""`python -m tests.fuzz.scp_child FOLDER PORT`: the SCP alone, as `readfirst node` starts it; ends with its stdin."""

from __future__ import annotations

import sys
from pathlib import Path

from node import logs, scp
from node.admission.associations import AssociationRegistry
from node.ledger.engine import Ledger, sqlite_url
from node.receiving.c_store import Receiver
from node.receiving.store import Store
from node.settings import Node, Settings
from tests.node.conftest import PEERS


def main(folder: Path, port: int) -> None:
    """Serve until stdin ends."""
    logs.configure()
    node = Node(port=port, data=folder, min_free_mb=0, network_timeout=2.0)
    peers = {name: peer.model_copy(update={"worklist": ("read", "change")}) for name, peer in PEERS.items()}
    ledger, store = Ledger(sqlite_url(folder)), Store(folder, 0)
    ledger.migrate()
    store.prepare()
    settings = Settings(node=node, peers=peers)
    server = scp.start(Receiver(settings, ledger, store, AssociationRegistry(settings)))
    print("ready", flush=True)
    sys.stdin.read()
    server.ae.shutdown()
    ledger.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
