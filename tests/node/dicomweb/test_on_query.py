from __future__ import annotations

import httpx
from ports import free_port
from starlette.requests import Request

from node.dicomweb.workitems import WorklistService
from node.ledger.engine import Ledger
from node.settings import Web
from tests.node.dicomweb.conftest import STATION, serving


def test_each_search_and_each_item_that_is_read_is_reported(ledger: Ledger) -> None:
    asked: list[tuple[str, str]] = []

    def note(request: Request) -> None:
        asked.append((request.url.path, request.url.query))

    keys = Web(port=free_port())
    with (
        serving(keys, WorklistService(ledger, STATION, on_query=note)),
        httpx.Client(base_url=f"http://127.0.0.1:{keys.port}/dicomweb", trust_env=False) as client,
    ):
        client.get("/workitems/1.2.3")
        client.get("/workitems", params={"PatientID": "4711"})
        client.get("/workitems", params={"Nonsense": "1"})
    assert asked == [
        ("/dicomweb/workitems/1.2.3", ""),
        ("/dicomweb/workitems", "PatientID=4711"),
        ("/dicomweb/workitems", "Nonsense=1"),
    ]
