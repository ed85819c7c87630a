from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from ports import free_port
from pynetdicom import AE, Association, build_context

from node import scp
from node.admission.associations import AssociationRegistry
from node.dicom.part10 import Part10, read_part10
from node.dispatch.embedded_redis import EmbeddedRedis, embedded_redis
from node.ledger.engine import Ledger, sqlite_url
from node.receiving.c_store import Receiver
from node.receiving.store import Store
from node.sending.c_store import BURST
from node.settings import Node, Peer, Settings
from tests.node.phantoms import image, part10, save

PEERS = {
    "modality": Peer(ae_title="MODALITY", host="127.0.0.1", send=("images",)),
    "reader": Peer(ae_title="READER", host="127.0.0.1", receive=("results",)),
}


@dataclass(frozen=True)
class House:
    """A running SCP and what it keeps."""

    receiver: Receiver
    released: list[frozenset[str]]

    @property
    def address(self) -> tuple[str, int]:
        return self.receiver.settings.node.host, self.receiver.settings.node.port

    @property
    def peer(self) -> Peer:
        host, port = self.address
        return Peer(ae_title=self.receiver.settings.node.ae_title, host=host, port=port)

    @property
    def files(self) -> list[Path]:
        return sorted(path for path in self.receiver.store.root.rglob("*") if path.is_file())


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(sqlite_url(tmp_path))
    ledger.migrate()
    yield ledger
    ledger.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(node=Node(port=free_port(), data=tmp_path, min_free_mb=0), peers=PEERS)


@pytest.fixture
def listen(ledger: Ledger) -> Iterator[Callable[[Settings], House]]:
    """Start an SCP with the given settings; it ends with the test."""
    with ExitStack() as stack:

        def listen(settings: Settings) -> House:
            store = Store(settings.node.data, settings.node.min_free_mb << 20)
            store.prepare()
            released: list[frozenset[str]] = []
            associations = AssociationRegistry(settings)
            associations.subscribe(ended=lambda _caller, received: released.append(frozenset(received)))
            house = House(Receiver(settings, ledger, store, associations), released)
            server = scp.start(house.receiver)
            stack.callback(server.ae.shutdown)
            return house

        yield listen


@pytest.fixture
def house(listen: Callable[[Settings], House], settings: Settings) -> House:
    return listen(settings)


@pytest.fixture
def associate() -> Iterator[Callable[..., Association]]:
    """Open associations (established or not); those still open are released when the test ends."""
    with ExitStack() as stack:

        def associate(
            house: House, *contexts: tuple[str, str], calling: str = "MODALITY", called: str = "READFIRST"
        ) -> Association:
            ae = AE(calling)
            association = ae.associate(
                *house.address, [build_context(*context) for context in contexts], ae_title=called
            )
            stack.callback(lambda: association.release() if association.is_established else None)
            return association

        yield associate


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    with embedded_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def file(tmp_path: Path) -> Part10:
    return read_part10(save(tmp_path / "1", image()))


@pytest.fixture
def large(tmp_path: Path) -> Part10:
    """Three and a half bursts."""
    path = tmp_path / "large"
    path.write_bytes(part10(bytes(range(256)) * (7 * BURST // 512)))
    return read_part10(path)
