"""UPS-RS on the wire: httpx against the running server (PS3.18 chapter 11)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from ports import free_port
from pydicom import Dataset
from pydicom.uid import generate_uid
from sqlalchemy import func, select
from structlog.testing import capture_logs

from node import web
from node.dicomweb.workitems import WorklistService
from node.ledger.engine import Ledger, sqlite_url
from node.ledger.tables import WORK_ITEM
from node.settings import Web, WebToken
from node.worklist.reading.work_items import ensure_item
from tests.node.dicomweb.conftest import serving
from tests.node.worklist.scu import LOCK, NOW, OTHER, STATION, STUDY, discontinued, performed, pushed

JSON = {"Content-Type": "application/dicom+json"}
ALL, FILTERED = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"
STATES = ("none", "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED")


def body(dataset: Dataset) -> list[dict[str, Any]]:
    return [dataset.to_json_dict()]


def create(client: httpx.Client, **options: str) -> str:
    uid = generate_uid()
    answer = client.post(f"/workitems?workitem={uid}", json=body(pushed(**options)), headers=JSON)
    assert (answer.status_code, answer.content) == (201, b""), answer.headers
    assert answer.headers["location"] == f"{client.base_url}workitems/{uid}"
    return uid


def change(client: httpx.Client, uid: str, state: str, transaction: str | None) -> httpx.Response:
    wanted = Dataset()
    wanted.ProcedureStepState = state
    if transaction is not None:
        wanted.TransactionUID = transaction
    return client.put(f"/workitems/{uid}/state", json=body(wanted), headers=JSON)


def update(client: httpx.Client, uid: str, values: Dataset, transaction: str = "") -> httpx.Response:
    query = f"?transaction-uid={transaction}" if transaction else ""
    return client.post(f"/workitems/{uid}{query}", json=body(values), headers=JSON)


def get(client: httpx.Client, uid: str) -> Dataset:
    answer = client.get(f"/workitems/{uid}", headers={"Accept": "application/dicom+json"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom+json")
    (item,) = answer.json()
    return Dataset.from_json(item)


def reach(client: httpx.Client, state: str) -> str:
    if state == "none":
        return generate_uid()
    uid = create(client)
    if state != "SCHEDULED":
        assert change(client, uid, "IN PROGRESS", LOCK).status_code == 200
    if state in ("COMPLETED", "CANCELED"):
        values = performed() if state == "COMPLETED" else discontinued()
        assert update(client, uid, values, LOCK).status_code == 200
        assert change(client, uid, state, LOCK).status_code == 200
    return uid


def test_a_reading_from_push_to_completed(client: httpx.Client) -> None:
    uid = create(client, priority="HIGH")
    item = get(client, uid)
    assert (item.SOPInstanceUID, item.PatientName, item.ProcedureStepState) == (uid, "Doe^Jane", "SCHEDULED")
    assert change(client, uid, "IN PROGRESS", LOCK).status_code == 200
    assert change(client, uid, "COMPLETED", LOCK).status_code == 409
    assert update(client, uid, performed(), LOCK).status_code == 200
    assert change(client, uid, "COMPLETED", LOCK).status_code == 200
    again = change(client, uid, "COMPLETED", LOCK)
    assert (again.status_code, again.headers["warning"]) == (
        200, "299 readfirst: The UPS is already in the requested state of COMPLETED.",
    )  # fmt: skip
    assert get(client, uid).ProcedureStepState == "COMPLETED"
    assert LOCK not in client.get(f"/workitems/{uid}").text


# PS3.4 Table CC.1.1-2 as PS3.18 answers it.
@pytest.mark.parametrize(
    ("wanted", "transaction", "codes"),
    [
        ("IN PROGRESS", LOCK, (404, 200, 409, 400, 400)),
        ("IN PROGRESS", None, (404, 400, 400, 400, 400)),
        ("SCHEDULED", LOCK, (404, 409, 409, 409, 409)),
        ("COMPLETED", LOCK, (404, 409, 409, 200, 400)),
        ("COMPLETED", OTHER, (404, 409, 400, 400, 400)),
        ("CANCELED", LOCK, (404, 409, 409, 400, 200)),
        ("CANCELED", None, (404, 400, 400, 400, 400)),
    ],
)
def test_change_state_in_every_state(
    client: httpx.Client, wanted: str, transaction: str | None, codes: tuple[int, ...]
) -> None:
    for state, code in zip(STATES, codes, strict=True):
        answer = change(client, reach(client, state), wanted, transaction)
        assert answer.status_code == code, (state, answer.headers)
        if code == 400 and transaction is None:
            assert answer.headers["warning"] == "299 readfirst: The Transaction UID is missing."


@pytest.mark.parametrize(("state", "code"), list(zip(STATES, (404, 200, 400, 400, 400), strict=True)))
def test_update_without_a_transaction_uid(client: httpx.Client, state: str, code: int) -> None:
    uid, values = reach(client, state), Dataset()
    values.ScheduledProcedureStepPriority = "HIGH"
    assert update(client, uid, values).status_code == code
    if code == 200:
        assert get(client, uid).ScheduledProcedureStepPriority == "HIGH"


@pytest.mark.parametrize(("state", "code"), list(zip(STATES, (404, 202, 409, 409, 202), strict=True)))
def test_request_cancel_in_every_state(client: httpx.Client, state: str, code: int) -> None:
    uid, reason = reach(client, state), Dataset()
    reason.ReasonForCancellation = "ordered twice"
    answer = client.post(f"/workitems/{uid}/cancelrequest", json=body(reason), headers=JSON)
    assert answer.status_code == code
    assert ("already" in answer.headers.get("warning", "")) == (state == "CANCELED")
    if state == "SCHEDULED":
        assert client.post(f"/workitems/{uid}/cancelrequest").status_code == 202  # the payload is optional


def test_what_a_creation_must_say(client: httpx.Client) -> None:
    uid = create(client)
    assert client.post(f"/workitems?workitem={uid}", json=body(pushed()), headers=JSON).status_code == 409
    assert client.post(f"/workitems?{generate_uid()}", json=body(pushed()), headers=JSON).status_code == 201
    own = pushed()
    own.SOPInstanceUID = generate_uid()
    assert client.post("/workitems", json=body(own), headers=JSON).status_code == 201
    assert client.post("/workitems", json=body(pushed()), headers=JSON).status_code == 400
    started = pushed()
    started.ProcedureStepState = "IN PROGRESS"
    assert client.post(f"/workitems?{generate_uid()}", json=body(started), headers=JSON).status_code == 400
    less = pushed()
    del less.AdmissionID
    answer = client.post(f"/workitems?{generate_uid()}", json=body(less), headers=JSON)
    assert answer.headers["warning"] == "299 readfirst: The Workitem was created with modifications."


@pytest.mark.parametrize(
    "payload",
    [
        b"{", b"[]", b"[{}, {}]", b'"x"', b"[1]", b'{"x": {}}', b'{"00100010": 1}', b'{"00100010": {"vr": "SQ"}}',
        b'{"00100010": {"vr": "PN", "Value": ["Doe"]}}', b'{"00741000": {"vr": "CS", "Value": [1]}}',
        b'{"00741000": {"vr": "CS", "Value": ["A\\\\B"]}}', b'{"00741000": {"vr": "CS", "Value": "A"}}',
        b'{"00404021": {"vr": "SQ", "Value": [1]}}', b'{"00741004": {"vr": "DS", "Value": [NaN]}}',
        b'{"00741004": {"vr": "DS", "Value": ["x"]}}', b"[" * 5000, b'{"00741210": {"vr": "SQ", "Value": [' * 40,
    ],
)  # fmt: skip
def test_what_is_not_the_dicom_json_model_is_refused(client: httpx.Client, payload: bytes) -> None:
    answer = client.post(f"/workitems?{generate_uid()}", content=payload, headers=JSON)
    assert (answer.status_code, answer.headers["x-dimse-status"][:4]) == (400, "0x01")


def test_limits(client: httpx.Client) -> None:
    huge = b'{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "' + b"x" * 1_000_000 + b'"}]}}'
    assert client.post(f"/workitems?{generate_uid()}", content=huge, headers=JSON).status_code == 503
    xml = client.post(
        f"/workitems?{generate_uid()}", content=b"<x/>", headers={"Content-Type": "application/dicom+xml"}
    )
    assert (xml.status_code, xml.headers["accept"]) == (415, "application/dicom+json")
    assert "The Content-Type is application/dicom+xml: send application/dicom+json." in xml.headers["warning"]
    assert client.get("/workitems/1.02.3").status_code == 400
    assert client.get("/workitems/..%2f..%2fetc").status_code in (400, 404)
    assert client.delete("/workitems/1.2.3").status_code == 405


def test_private_attributes_are_not_kept_and_the_program_is_told(client: httpx.Client) -> None:
    item = pushed()
    item.add_new(0x00090010, "LO", "SOMEONE")
    uid = generate_uid()
    answer = client.post(f"/workitems?{uid}", json=body(item), headers=JSON)
    assert (answer.status_code, "modifications" in answer.headers["warning"]) == (201, True)
    assert 0x00090010 not in get(client, uid)


def test_search(client: httpx.Client, served: Ledger) -> None:
    uids = [create(client, priority=priority) for priority in ("LOW", "HIGH", "MEDIUM")]
    found = client.get("/workitems").json()
    assert [item["00741200"]["Value"] for item in found] == [["HIGH"], ["MEDIUM"], ["LOW"]]
    assert all("00081195" not in item and "00404021" not in item for item in found)

    def search(query: str) -> list[str]:
        answer = client.get(f"/workitems?{query}")
        assert answer.status_code in (200, 204), answer.headers
        return [item["00080018"]["Value"][0] for item in answer.json()] if answer.content else []

    assert search("ScheduledProcedureStepPriority=HIGH") == [uids[1]]
    assert search("00741200=HIGH&PatientName=doe*") == [uids[1]]
    assert sorted(search(f"00080018={uids[0]},{uids[2]}")) == sorted([uids[0], uids[2]])
    assert search("ScheduledWorkitemCodeSequence.CodeValue=110005&00741200=LOW") == [uids[0]]
    assert search("00404018.00080100=110006") == []
    assert len(search("ScheduledProcedureStepStartDateTime=20260921-")) == 3
    assert client.get("/workitems?PatientID=nobody").status_code == 204
    first = client.get("/workitems?limit=2")
    assert (first.status_code, len(first.json())) == (206, 2)
    assert "additional results" in first.headers["warning"]
    assert len(client.get("/workitems?limit=2&offset=2").json()) == 1
    assert "fuzzymatching" in client.get("/workitems?fuzzymatching=true").headers["warning"]
    for query in ("Nonsense=1", "0074100=1", "limit=x", "PatientName.CodeValue=1", "PatientBirthDate=19600231"):
        assert client.get(f"/workitems?{query}").status_code == 400, query


def test_the_images_are_named_where_they_are_asked_for(client: httpx.Client, served: Ledger, header: Dataset) -> None:
    with served.write() as connection:
        ensure_item(connection, header, NOW, STATION)
    assert "00404021" in client.get("/workitems?includefield=InputInformationSequence").json()[0]
    (whole,) = client.get(f"/workitems?StudyInstanceUID={STUDY}&includefield=all").json()
    assert whole["00100010"]["Value"] == [{"Alphabetic": "Müller^Änne"}]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", f"/workitems/{ALL}/subscribers/ANYBODY", 201),
        ("POST", f"/workitems/{ALL}/subscribers/ANYBODY?deletionlock=true", 201),
        ("POST", f"/workitems/{FILTERED}/subscribers/ANYBODY?filter=00741000=SCHEDULED,WorklistLabel=CH*", 201),
        ("POST", f"/workitems/{FILTERED}/subscribers/ANYBODY", 400),
        ("POST", f"/workitems/{FILTERED}/subscribers/ANYBODY?filter=Nonsense=1", 400),
        ("POST", f"/workitems/{ALL}/subscribers/ANYBODY?deletionlock=maybe", 400),
        ("POST", f"/workitems/{ALL}/subscribers/SEVENTEEN_LETTERS", 400),
        ("POST", "/workitems/1.2.3/subscribers/ANYBODY", 404),
        ("DELETE", f"/workitems/{ALL}/subscribers/ANYBODY", 404),
        ("POST", f"/workitems/{ALL}/subscribers/ANYBODY/suspend", 200),
    ],
)  # fmt: skip
def test_subscriptions(client: httpx.Client, method: str, path: str, code: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == code, answer.headers
    if code == 201:
        socket = str(client.base_url).replace("http", "ws", 1)
        assert answer.headers["content-location"] == f"{socket}subscribers/ANYBODY"
        assert client.delete(path.partition("?")[0]).status_code == 200
        assert client.delete(path.partition("?")[0]).status_code == 404


def test_only_global_subscriptions_are_suspended(client: httpx.Client) -> None:
    assert client.post(f"/workitems/{create(client)}/subscribers/ANYBODY/suspend").status_code == 400


def test_logs_name_uids_and_statuses_but_no_patient(client: httpx.Client) -> None:
    with capture_logs() as lines:
        create(client)
        client.get("/workitems?PatientName=Doe*")
        client.get("/workitems?PatientName.Doe=1")
    assert [line["status"] for line in lines] == ["0x0000", "0x0000", "0xA900"]
    assert not any(secret in str(lines[:2]) for secret in ("Doe", "HUSH-0815"))


def test_a_program_has_a_quota_of_work_items(tmp_path: Path) -> None:
    ledger, keys = Ledger(sqlite_url(tmp_path)), Web(port=free_port())
    ledger.migrate()
    with serving(keys, WorklistService(ledger, STATION, most_items=1)):
        base = f"http://127.0.0.1:{keys.port}/dicomweb"
        urls = [f"{base}/workitems?workitem={generate_uid()}" for _ in range(2)]
        codes = [httpx.post(url, json=body(pushed()), headers=JSON).status_code for url in urls]
    with ledger.read() as connection:
        assert connection.execute(select(func.count()).select_from(WORK_ITEM)).scalar_one() == 1
    ledger.close()
    assert codes[0] == 201
    assert codes[1] >= 400


def test_a_subscription_belongs_to_its_ae_title(tmp_path: Path) -> None:
    ledger = Ledger(sqlite_url(tmp_path))
    ledger.migrate()
    tables = {
        "monitor": WebToken(token="the token of the monitor", rights=("read",), ae_title="MONITOR"),
        "nameless": WebToken(token="a token that names no AE", rights=("read",)),
        "all": WebToken(token="the token for subscriptions", rights=("read", "subscriptions")),
    }
    keys, codes = Web(port=free_port(), tokens=tables), []
    with serving(keys, WorklistService(ledger, STATION, acts_for=web.acts_for)):
        for name, ae_title in (("monitor", "MONITOR"), ("all", "OTHER"), ("monitor", "OTHER"), ("nameless", "OTHER")):
            url = f"http://127.0.0.1:{keys.port}/dicomweb/workitems/{ALL}/subscribers/{ae_title}"
            headers = {"Authorization": f"Bearer {tables[name].token}"}
            codes.append(httpx.post(url, headers=headers).status_code)
    ledger.close()
    assert codes[:2] == [201, 201]
    assert all(400 <= code < 500 for code in codes[2:])
