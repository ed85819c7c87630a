"""The WebSocket of UPS-RS, with the client of PyPI `websockets`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from ports import free_port
from pydicom import Dataset
from pydicom.uid import generate_uid
from sqlalchemy import func, select
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from node.dicomweb.workitems import WorklistService
from node.ledger.engine import Ledger
from node.ledger.tables import JOB
from node.settings import Web
from node.worklist.items.priority import Priority, RequestedPriority
from node.worklist.reading.work_items import ensure_item, raise_priority
from tests.node.dicomweb.conftest import serving
from tests.node.dicomweb.test_workitems import ALL, JSON, body, change, create
from tests.node.worklist.scu import LOCK, NOW, STATION, STUDY, pushed
from tests.waiting import at_most

Listen = Callable[[str], ClientConnection]


def hear(socket: ClientConnection) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(socket.recv(timeout=60))
    return found


def value(event: dict[str, Any], tag: str) -> Any:
    return event[tag]["Value"][0]


def test_a_subscriber_hears_of_each_change(client: httpx.Client, listen: Listen) -> None:
    socket = listen("VIEWER")
    assert client.post(f"/workitems/{ALL}/subscribers/VIEWER").status_code == 201
    uid = create(client)
    change(client, uid, "IN PROGRESS", LOCK)
    created, claimed = hear(socket), hear(socket)
    assert [value(event, "00741000") for event in (created, claimed)] == ["SCHEDULED", "IN PROGRESS"]
    assert (value(created, "00001000"), value(created, "00001002")) == (uid, 1)
    assert value(created, "00000002") == "1.2.840.10008.5.1.4.34.6.1"
    assert client.post(f"/workitems/{uid}/cancelrequest?requester=ORDERS").status_code == 202
    asked = hear(socket)
    assert (value(asked, "00001002"), value(asked, "00741236")) == (2, "ORDERS")


def test_a_raised_priority_is_heard_within_a_second(
    client: httpx.Client, served: Ledger, listen: Listen, header: Dataset
) -> None:
    with served.write() as connection:
        uid = ensure_item(connection, header, NOW, STATION)
    socket = listen("VIEWER")
    client.post(f"/workitems/{uid}/subscribers/VIEWER?deletionlock=false")
    assert value(hear(socket), "00001002") == 1
    started = time.monotonic()
    with served.write() as connection:
        raise_priority(connection, STUDY, RequestedPriority(Priority.HIGH, "Pneumothorax"), NOW)
    event = hear(socket)
    assert time.monotonic() - started < at_most(1.0)
    assert (value(event, "00001002"), value(event, "00741200")) == (3, "HIGH")


def test_what_comes_while_nobody_listens_waits(client: httpx.Client, served: Ledger, listen: Listen) -> None:
    client.post(f"/workitems/{ALL}/subscribers/VIEWER")
    uids = [create(client) for _ in range(3)]
    first = listen("VIEWER")
    assert [value(hear(first), "00001000") for _ in uids] == uids
    second = listen("VIEWER")  # takes over
    with pytest.raises(ConnectionClosed):
        first.recv(timeout=60)
    uid = create(client)
    assert value(hear(second), "00001000") == uid
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with served.read() as connection:
            if not connection.execute(select(func.count()).select_from(JOB)).scalar_one():
                return
    pytest.fail("a report that was sent is still there")


def test_one_subscribers_events_are_not_anothers(client: httpx.Client, listen: Listen) -> None:
    client.post(f"/workitems/{ALL}/subscribers/VIEWER")
    other = listen("OTHER")
    create(client)
    with pytest.raises(TimeoutError):
        other.recv(timeout=0.5)


def test_the_token_is_before_everything(served: Ledger) -> None:
    web = Web(port=free_port(), token="secret")
    base = f"127.0.0.1:{web.port}/dicomweb"
    with serving(web, WorklistService(served, STATION)), httpx.Client(base_url=f"http://{base}") as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
            answer = client.get("/workitems", headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        right = {"Authorization": "Bearer secret"}
        assert client.get("/workitems", headers=right).status_code == 204
        new = client.post(f"/workitems?{generate_uid()}", json=body(pushed()), headers=right | JSON)
        assert new.status_code == 201
        with pytest.raises(InvalidStatus), connect(f"ws://{base}/subscribers/VIEWER", proxy=None):
            pass
        with connect(f"ws://{base}/subscribers/VIEWER", additional_headers=right, proxy=None) as socket:
            client.post(f"/workitems/{ALL}/subscribers/VIEWER?deletionlock=true", headers=right)
            assert value(hear(socket), "00001002") == 1


def test_another_sites_page_changes_and_hears_nothing(client: httpx.Client, house: tuple[Ledger, int]) -> None:
    """What it may ask for it cannot read: no answer says that it may."""
    evil = {"Origin": "http://evil.example"}
    answer = client.post(f"/workitems?{generate_uid()}", json=body(pushed()), headers=JSON | evil)
    assert answer.status_code == 403
    found = client.get("/workitems", headers=evil)
    assert found.status_code == 204
    assert not any(name.startswith("access-control") for name in found.headers)
    url = f"ws://127.0.0.1:{house[1]}/dicomweb/subscribers/VIEWER"
    with pytest.raises(InvalidStatus), connect(url, additional_headers=evil, proxy=None):
        pass
