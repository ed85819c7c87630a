"""Worklist, study and status pages, as the server gives them."""

from __future__ import annotations

import csv
import io
import re
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import insert, select, update
from structlog.testing import capture_logs

from node.entities import AnalysisReport, StudyState
from node.errors import QueueUnavailable
from node.ledger import studies, workers
from node.ledger.engine import Ledger
from node.ledger.tables import EVENT, FINDING, STUDY, WORK_ITEM
from node.receiving import instances
from node.sending import circuits, deliveries
from node.sending.deliveries import DELIVERY
from node.web.pages import claims
from node.worklist.items.json_model import Json, items, put, text
from node.worklist.items.rows import load
from node.worklist.items.states import State
from node.worklist.ups import operations
from tests.node.phantoms import STUDY as UID
from tests.node.phantoms import claim, result, stored
from tests.node.web.conftest import FINDINGS, KEY, Serve, Site, analyse, arrive

HOSTILE = {
    "PatientName": "<script>alert(1)</script>^\"'><img src=x onerror=alert(2)>",
    "PatientID": "'\"><b>{{ 7*7 }}",
    "AccessionNumber": "<i>&amp;</i>",
    "StudyDescription": "</td></table>{% raw %}\u202e",
}


@pytest.fixture
def analysed(site: Site, ledger: Ledger, tmp_path: Path) -> str:
    """A study that was analysed; its work item's UID."""
    uid = arrive(ledger, PatientName="Doe^Jane", PatientID="P1", AccessionNumber="A1")
    analyse(ledger, tmp_path)
    return uid


def item_state(ledger: Ledger, uid: str) -> State:
    with ledger.read() as connection:
        item = load(connection, uid, lock=False)
    assert item is not None
    return item.state


def test_the_worklist_names_patient_finding_and_model(site: Site, analysed: str) -> None:
    page = site.client.get("/").text
    for said in (
        "Doe, Jane",
        "P1",
        "A1",
        "HIGH",
        "Pneumothorax",
        "87.0",
        "threshold 50.0",
        "chest-xray, research use",
    ):
        assert said in page, said
    assert "Effusion" not in page  # absent


def test_what_is_searched_for_is_posted_and_in_no_address_or_log(site: Site, analysed: str) -> None:
    with capture_logs() as logs:
        assert "Doe, Jane" in site.post("/lines", words="doe").text
        assert "Nothing matches." in site.post("/lines", words="roe").text
    assert logs == []
    addresses = re.findall(r'(?:href|src|hx-get|hx-post)="([^"]*)"', site.client.get("/").text)
    assert addresses
    assert not re.search("(?i)doe|jane|P1|A1", " ".join(addresses))


def test_no_form_can_put_what_was_typed_into_an_address(serve: Serve, ledger: Ledger, tmp_path: Path) -> None:
    arrive(ledger)
    analyse(ledger, tmp_path)
    texts = [serve().client.get(path).text for path in ("/", f"/study/{UID}")] + [
        serve(token="t").client.get("/login").text
    ]
    for html in texts:  # also where scripts do not run: a form without a method would be a GET
        forms = re.findall("<form[^>]*>", html)
        assert forms
        assert all('method="post"' in form for form in forms)


def test_a_filter_that_is_not_ours_counts_as_none(site: Site, analysed: str) -> None:
    for field in ({"priority": "'; --"}, {"states": "x"}, {"limit": "-1"}, {"limit": "٣"}, {"limit": "9" * 30}):
        assert "Doe, Jane" in site.post("/lines", **field).text


@pytest.mark.parametrize("field", HOSTILE)
def test_hostile_attributes_are_text_on_every_page(site: Site, ledger: Ledger, tmp_path: Path, field: str) -> None:
    uid = arrive(ledger, **{field: HOSTILE[field]})
    analyse(ledger, tmp_path)
    with ledger.write() as connection:  # a peer's N-CREATE is not cleaned as our own items are
        attributes = dict(connection.execute(select(WORK_ITEM.c.attributes)).scalar_one())
        for keyword, value in HOSTILE.items():
            if keyword in ("PatientName", "PatientID"):
                put(attributes, keyword, value)
        put(attributes, "ProcedureStepLabel", HOSTILE["StudyDescription"])
        connection.execute(update(WORK_ITEM).values(attributes=attributes, priority_reason="<script>reason"))
        connection.execute(insert(EVENT).values(study_instance_uid=UID, at=1.0, kind="<script>", detail="<img src=x>"))
    for page in (site.client.get("/"), site.client.get(f"/study/{UID}"), site.post("/lines", words="script")):
        assert page.status_code == 200
        assert not re.search(r"<script(?! src=\"/static)|<img src=x|<b>\{|<i>&|</td></table>\{|>49|\u202e", page.text)
        assert "&lt;script&gt;" in page.text
    assert site.post(f"/item/{uid}/claim").status_code == 200


def test_the_study_page_shows_pictures_values_story_and_viewer(serve: Serve, ledger: Ledger, tmp_path: Path) -> None:
    site = serve(viewer_url="https://viewer.example/viewer?StudyInstanceUIDs={StudyInstanceUID}")
    arrive(ledger, PatientName="Doe^Jane")
    analyse(ledger, tmp_path)
    page = site.client.get(f"/study/{UID}").text
    for said in (
        "Pneumothorax",
        "Effusion",
        "threshold 50.0",
        "left upper zone",
        "Colour shows what raised the score.",
        'alt="What raised the score of Pneumothorax: left upper zone"',
        "research use, not for diagnosis",
        "association released, then 2 s quiet",
        f"https://viewer.example/viewer?StudyInstanceUIDs={UID}",
    ):
        assert said in page, said
    numbers = re.findall(r'src="/picture/(\d+)"', page)
    assert len(numbers) == 2
    for number in numbers:
        picture = site.client.get(f"/picture/{number}")
        assert (picture.headers["content-type"], picture.content[:4]) == ("image/png", b"\x89PNG")
        assert picture.headers["cache-control"] == "no-store"


def test_the_viewer_opens_at_the_image_that_is_shown(serve: Serve, ledger: Ledger, tmp_path: Path) -> None:
    site = serve(viewer_url="https://v.example/viewer?StudyInstanceUIDs={StudyInstanceUID}&initial={SOPInstanceUID}")
    arrive(ledger, PatientName="Doe^Jane")
    assert (
        f'href="https://v.example/viewer?StudyInstanceUIDs={UID}&amp;initial="' in site.client.get(f"/study/{UID}").text
    )
    analyse(ledger, tmp_path)
    page = site.client.get(f"/study/{UID}").text
    links = re.findall(rf'href="https://v.example/viewer\?StudyInstanceUIDs={UID}&amp;initial=(.*?)"', page)
    assert links == ["1.2.3", "1.2.3"]


@pytest.mark.parametrize(
    "path", ["/study/1.2.3", "/study/..%2f..%2fetc", "/study/x/panel", "/picture/99", "/picture/x", "/no"]
)
def test_what_is_not_there_is_said(site: Site, path: str) -> None:
    assert site.client.get(path).status_code == 404


def test_a_finding_that_does_not_change_the_order_says_so(site: Site, ledger: Ledger, tmp_path: Path) -> None:
    sentence = "by its card it does not change the reading order"
    arrive(ledger)
    analyse(ledger, tmp_path)
    assert sentence not in site.client.get(f"/study/{UID}").text
    with ledger.write() as connection:
        connection.execute(FINDING.update().values(raises_priority=False))
    assert site.client.get(f"/study/{UID}").text.count(sentence) == 1  # of the present one


def test_a_study_without_pictures_says_why(site: Site, ledger: Ledger, tmp_path: Path) -> None:
    arrive(ledger)
    analyse(ledger, tmp_path, state=StudyState.FAILED)
    assert "No picture: the analysis failed: &lt;b&gt;no reason" in site.client.get(f"/study/{UID}").text


def test_an_item_is_claimed_and_completed_as_the_standard_says(site: Site, ledger: Ledger, analysed: str) -> None:
    assert "Complete" in site.post(f"/item/{analysed}/claim").text
    assert item_state(ledger, analysed) is State.IN_PROGRESS
    assert "COMPLETED" in site.post(f"/item/{analysed}/complete").text
    with ledger.read() as connection:
        item = load(connection, analysed, lock=False)
    assert item is not None
    assert item.state is State.COMPLETED
    (performed,) = items(item.attributes, "UnifiedProcedureStepPerformedProcedureSequence")
    start, end = (text(performed, f"PerformedProcedureStep{which}DateTime") for which in ("Start", "End"))
    assert "" < start < end
    assert "Doe" not in site.client.get("/").text  # it is read


def test_what_the_state_table_forbids_is_refused_with_a_sentence(site: Site, ledger: Ledger, analysed: str) -> None:
    early = site.post(f"/item/{analysed}/complete")
    assert (early.status_code, early.text) == (409, "Not done: The UPS is not in the IN PROGRESS state.")
    assert site.post(f"/item/{analysed}/claim").status_code == 200
    assert site.post(f"/item/{analysed}/claim").text == "Not done: The UPS is already IN PROGRESS."
    assert site.post("/item/1.2.3/claim").text == "Not done: No such UPS managed by this SCP."


def test_an_item_that_another_station_claimed_is_not_completed_here(site: Site, ledger: Ledger, analysed: str) -> None:
    given: Json = {}
    put(given, "ProcedureStepState", "IN PROGRESS")
    put(given, "TransactionUID", "1.2.3.4")
    with ledger.write() as connection:
        operations.change_state(connection, analysed, given, 1.0)
    assert "Claimed at another workstation" in site.client.get(f"/study/{UID}").text
    refused = site.post(f"/item/{analysed}/complete")
    assert (refused.status_code, item_state(ledger, analysed)) == (409, State.IN_PROGRESS)
    assert "Transaction UID" in refused.text


def test_the_transaction_uid_is_the_nodes_secret(site: Site, analysed: str) -> None:
    assert claims.transaction_uid(KEY, "1.2") != claims.transaction_uid(b"j" * 32, "1.2")
    assert claims.transaction_uid(KEY, "1.2") != claims.transaction_uid(KEY, "1.3")
    page = site.post(f"/item/{analysed}/claim").text + site.client.get(f"/study/{UID}").text
    assert claims.transaction_uid(KEY, analysed) not in page


def test_feedback_is_kept_changed_removed_and_exported(site: Site, ledger: Ledger, analysed: str) -> None:
    def say(feedback: str) -> str:
        return site.post(
            f"/study/{UID}/feedback", generation="1", package="chest-xray", label="Pneumothorax", feedback=feedback
        ).text  # fmt: skip

    def exported() -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(site.client.get("/feedback.csv").text)))

    assert re.search(r'aria-pressed="true">agree', say("agree"))
    assert re.search(r'aria-pressed="true">disagree', say("disagree"))
    (row,) = exported()
    assert (row["study_instance_uid"], row["label"], row["verdict"]) == (UID, "Pneumothorax", "disagree")
    assert (row["probability"], row["operating_point"], row["present"]) == ("0.87", "0.5", "yes")
    assert 'aria-pressed="true"' not in say("")
    assert exported() == []


def test_feedback_on_nothing_is_refused(site: Site, analysed: str) -> None:
    path, fields = f"/study/{UID}/feedback", {"generation": "1", "package": "chest-xray", "label": "Pneumothorax"}
    assert site.post(path, **fields, feedback="maybe").status_code == 400
    assert site.post(path, **fields | {"label": "Fracture"}, feedback="agree").status_code == 409
    assert site.post(path, **fields, feedback="agree", more="x" * 20000).status_code == 413


def test_feedback_from_a_stale_page_is_refused_with_a_sentence(
    site: Site, ledger: Ledger, tmp_path: Path, analysed: str
) -> None:
    form = site.client.get(f"/study/{UID}").text.split('<form class="feedback"')[1].split("</form>")[0]
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
    with ledger.write() as connection:  # late images: the study is analysed anew, and what was called no longer is
        instances.record_instance(connection, stored(f"{UID}.2", study_instance_uid=UID), "MODALITY", 9.0)
        report = AnalysisReport(StudyState.ANALYSED, "", (replace(FINDINGS[0], probability=0.1, present=False),))
        claim(connection, UID, 2)
        assert studies.finish(connection, UID, 2, report, 10.0)
    for stale in (fields, fields | {"generation": ""}, fields | {"generation": "x"}):
        refused = site.post(f"/study/{UID}/feedback", **stale, feedback="agree")
        assert (refused.status_code, "analysed anew" in refused.text) == (409, True)
    assert "agree" not in site.client.get("/feedback.csv").text
    assert site.post(f"/study/{UID}/feedback", **fields | {"generation": "2"}, feedback="agree").status_code == 200


def test_the_status_page_shows_queues_peers_disk_models_and_failures(
    serve: Serve, ledger: Ledger, tmp_path: Path
) -> None:
    site = serve(waiting=lambda task: 7)
    arrive(ledger)
    analyse(ledger, tmp_path, state=StudyState.FAILED)
    page = site.client.get("/status").text
    for said in ("analyze: 7 messages", "READER@127.0.0.1", "MiB free", "chest-xray", "&lt;b&gt;no reason", "Retry"):
        assert said in page, said


def test_the_status_page_shows_workers_and_receivers_that_are_only_probed(site: Site, ledger: Ledger) -> None:
    assert "No worker that analyses is running" in site.client.get("/status").text
    now = time.time()
    with ledger.write() as connection:
        workers.beat(connection, "here:1", now, ready=False, reason="<b>no GPU")
        for uid in ("1.1", "1.2", "1.3"):
            circuits.record_failure(connection, "reader", uid, "it does not answer", now)
    page = site.client.get("/status").text
    assert "Worker here:1: not ready, &lt;b&gt;no GPU" in page
    assert "failed 3 times in a row, all waits, probed at" in page


def test_a_queue_that_is_gone_is_said(serve: Serve) -> None:
    def gone(_task: str) -> int:
        raise QueueUnavailable("Redis cannot be reached")

    assert "Redis cannot be reached; nothing is lost" in serve(waiting=gone).client.get("/status").text


def test_retry_starts_a_failed_analysis_again(site: Site, ledger: Ledger, tmp_path: Path) -> None:
    arrive(ledger)
    analyse(ledger, tmp_path, state=StudyState.FAILED)
    assert "None." in site.post(f"/status/retry/{UID}").text
    with ledger.read() as connection:
        assert connection.execute(select(STUDY.c.state)).scalar_one() == StudyState.QUEUED
    assert site.post(f"/status/retry/{UID}").status_code == 409


def test_a_delivery_that_failed_is_a_failure_and_can_be_retried(site: Site, ledger: Ledger, analysed: str) -> None:
    with ledger.write() as connection:
        deliveries.put(connection, UID, 1, [result()], ["reader"], 1.0)
        (row,) = deliveries.claim(connection, UID, "reader", 1.0, 20.0)
        deliveries.record_sent(connection, row, "reader", "refused with 0xA700", 4e9)
    assert "not delivered to reader: refused with 0xA700" in site.client.get("/status").text
    assert site.post(f"/status/retry/{UID}").status_code == 200
    with ledger.read() as connection:
        assert connection.execute(select(DELIVERY.c.next_attempt_at)).scalar_one() < 4e9


def test_check_runs_the_command(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("READFIRST_NODE__AE_TITLE", "READFIRST")  # the node's own configuration, by the environment
    site.client.timeout = httpx.Timeout(120)
    page = site.post("/status/check").text
    assert "MiB free" in page
    assert "model chest-xray" in page
