"""What nobody could be sent again: refused when it arrives, and passed over where it is kept already."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydicom.uid import generate_uid
from sqlalchemy import text
from websockets.sync.client import ClientConnection

from node.ledger.engine import Ledger
from tests.node.dicomweb.test_workitems import ALL, JSON, body, change, create
from tests.node.worklist.scu import LOCK, pushed

Listen = Callable[[str], ClientConnection]
ACCEPT = {"Accept": "application/dicom+json"}


def post(client: httpx.Client, tag: str, entry: object) -> httpx.Response:
    (given,) = body(pushed())
    content = json.dumps([given | {tag: entry}])
    return client.post(f"/workitems?workitem={generate_uid()}", content=content, headers=JSON)


BAD = {
    "half a surrogate": ("00741204", {"vr": "LO", "Value": ["\ud83d"]}),
    "in a comment": ("00400400", {"vr": "LT", "Value": ["\udc00"]}),
    "infinity": ("00181041", {"vr": "DS", "Value": ["1e999"]}),
    "a nul": ("00400400", {"vr": "LT", "Value": ["a\0b"]}),
    "no AE": ("00741234", {"vr": "AE", "Value": ["\u00c4RZTE"]}),
    "no US": ("00280010", {"vr": "US", "Value": [70000]}),
}


@pytest.mark.parametrize(("tag", "entry"), BAD.values(), ids=BAD)
def test_it_is_refused_and_the_list_is_as_before(client: httpx.Client, tag: str, entry: object) -> None:
    good = create(client)
    answer = post(client, tag, entry)
    assert (answer.status_code, answer.headers["x-dimse-status"]) == (400, "0x0106")
    values = client.post(f"/workitems/{good}", content=json.dumps([{tag: entry}]), headers=JSON)
    assert values.status_code == 400
    (found,) = client.get("/workitems").json()
    assert found["00080018"]["Value"] == [good]


def test_a_number_beyond_all_numbers_is_refused(client: httpx.Client) -> None:
    content = json.dumps(body(pushed())[0]).replace('{"00', '{"00181041": {"vr": "DS", "Value": [1e999]}, "00', 1)
    assert client.post(f"/workitems?workitem={generate_uid()}", content=content, headers=JSON).status_code == 400


def spoil(ledger: Ledger, uid: str, attributes: str) -> None:
    """As an older version kept it."""
    with ledger.write() as connection:
        connection.execute(
            text("UPDATE work_item SET attributes = :value WHERE sop_instance_uid = :uid"),
            {"value": attributes, "uid": uid},
        )


@pytest.mark.parametrize("spoiled", ["null", "[]", '{"00100010": 5}', '{"00741000": {"vr": "CS", "Value": 7}}'])
def test_a_row_that_is_no_data_set_does_not_spoil_the_list(client: httpx.Client, served: Ledger, spoiled: str) -> None:
    bad, good = create(client), create(client)
    spoil(served, bad, spoiled)
    for keys in ("?PatientName=Doe*&ProcedureStepState=SCHEDULED", ""):
        answer = client.get(f"/workitems{keys}", headers=ACCEPT)
        assert answer.status_code == 200
        assert [good] in [one.get("00080018", {}).get("Value") for one in answer.json()]


def test_what_an_older_version_kept_is_shown_without_it(client: httpx.Client, served: Ledger) -> None:
    uid = create(client)
    (kept,) = client.get(f"/workitems/{uid}").json()
    kept["00741204"] = {"vr": "LO", "Value": ["A\ud800"]}
    kept["00181041"] = {"vr": "DS", "Value": [float("inf")]}
    spoil(served, uid, json.dumps(kept))
    for answer in (client.get(f"/workitems/{uid}"), client.get("/workitems?includefield=all")):
        assert answer.status_code == 200
        assert answer.json()[0]["00741204"]["Value"] == ["A?"]


def test_a_stream_goes_on_behind_an_event_that_could_not_be_sent(
    client: httpx.Client, served: Ledger, listen: Listen
) -> None:
    assert client.post(f"/workitems/{ALL}/subscribers/READER").status_code == 201
    create(client)
    information = json.dumps(
        {"00741238": {"vr": "LT", "Value": ["\udfff"]}, "00741000": {"vr": "CS", "Value": [1e999]}}
    )
    with served.write() as connection:
        payload = json.dumps({"event_type": 1, "information": json.loads(information)})
        connection.execute(text("UPDATE job SET payload = :payload"), {"payload": payload})
    uid = create(client)
    socket = listen("READER")
    while json.loads(socket.recv(timeout=60))["00001000"]["Value"] != [uid]:
        pass


@pytest.mark.parametrize("title", ["%C3%84RZTE", "%20", "SEVENTEENLETTERSX", "A%5CB"])
def test_a_receiving_ae_that_is_none_is_refused(client: httpx.Client, title: str) -> None:
    answer = client.post(f"/workitems/{ALL}/subscribers/{title}")
    assert (answer.status_code, answer.headers["x-dimse-status"]) == (400, "0x0115")


def test_a_requester_that_is_no_ae_is_refused(client: httpx.Client) -> None:
    uid = create(client)
    assert (
        client.post(f"/workitems/{uid}/cancelrequest?requester=%C3%84", content="[{}]", headers=JSON).status_code == 400
    )
    assert client.get(f"/workitems/{uid}").json()[0]["00741000"]["Value"] == ["SCHEDULED"]


@pytest.mark.parametrize(
    "name",
    ["transaction-uid=", "transaction=", "transactionUID=", "TransactionUID=", "transaction_uid=", "00081195=", ""],
)
def test_every_spelling_of_the_transaction_uid(client: httpx.Client, name: str) -> None:
    uid = create(client)
    assert change(client, uid, "IN PROGRESS", LOCK).status_code == 200
    values: Any = [{"00741204": {"vr": "LO", "Value": ["Third reading"]}}]
    assert client.post(f"/workitems/{uid}?{name}{LOCK}", json=values, headers=JSON).status_code == 200
    assert client.post(f"/workitems/{uid}?{name}1.2.3", json=values, headers=JSON).status_code == 400


@pytest.mark.parametrize("name", ["workitem=", "AffectedSOPInstanceUID=", ""])
def test_every_spelling_of_the_new_work_item(client: httpx.Client, name: str) -> None:
    uid = generate_uid()
    assert client.post(f"/workitems?{name}{uid}", json=body(pushed()), headers=JSON).status_code == 201
    assert client.get(f"/workitems/{uid}").status_code == 200


@pytest.mark.parametrize("accept", ["application/dicom+xml", "text/html"])
def test_a_media_type_that_is_not_served(client: httpx.Client, accept: str) -> None:
    uid = create(client)
    for path in (f"/workitems/{uid}", "/workitems", f"/workitems/{uid}?accept={accept.replace('+', '%2B')}"):
        headers = ACCEPT if "?" in path else {"Accept": accept}
        assert client.get(path, headers=headers).status_code == 406
