from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from ports import free_port
from sqlalchemy import delete
from websockets.sync.client import ClientConnection, connect

from node import web
from node.dicomweb import routes
from node.dicomweb.workitems import WorklistService
from node.ledger.engine import Ledger, sqlite_url
from node.ledger.tables import EVENT, GLOBAL_SUBSCRIPTION, JOB, SUBSCRIPTION, WORK_ITEM
from node.settings import Settings, Web
from tests.node.worklist.conftest import header
from tests.node.worklist.scu import NOW, STATION

__all__ = ["header"]  # a fixture of the worklist's tests


@contextmanager
def serving(keys: Web, service: WorklistService) -> Iterator[None]:
    """The node's web server with these work items below `/dicomweb`."""
    page = web.PageContext(Settings(web=keys), service.ledger, b"k" * 32, lambda _: 0)
    with web.serving(keys, web.make_app(page, routes(service))):
        yield


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ledger, int]]:
    """A running server and its ledger."""
    ledger = Ledger(sqlite_url(tmp_path_factory.mktemp("dicomweb")))
    ledger.migrate()
    ticks, keys = itertools.count(), Web(port=free_port())
    with serving(keys, WorklistService(ledger, STATION, clock=lambda: NOW + next(ticks))):
        yield ledger, keys.port
    ledger.close()


@pytest.fixture
def served(house: tuple[Ledger, int]) -> Ledger:
    """The server's ledger, emptied."""
    with house[0].write() as connection:
        for table in (JOB, GLOBAL_SUBSCRIPTION, SUBSCRIPTION, WORK_ITEM, EVENT):
            connection.execute(delete(table))
    return house[0]


@pytest.fixture
def client(house: tuple[Ledger, int], served: Ledger) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{house[1]}/dicomweb") as client:
        yield client


@pytest.fixture
def listen(house: tuple[Ledger, int]) -> Iterator[Callable[[str], ClientConnection]]:
    """Open WebSockets; they are closed when the test ends."""
    with ExitStack() as stack:

        def listen(ae_title: str) -> ClientConnection:
            url = f"ws://127.0.0.1:{house[1]}/dicomweb/subscribers/{ae_title}"
            return stack.enter_context(connect(url, proxy=None))

        yield listen
