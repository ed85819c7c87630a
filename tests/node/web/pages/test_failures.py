"""What the status page says of failures beside the analyses', and what its retry does."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import select, update

from node.entities import QUARANTINE, FoundFinding, JobKind, JobState
from node.ledger import jobs
from node.ledger.engine import Ledger
from node.ledger.tables import JOB, RESULT
from node.sending import deliveries
from node.settings import Policy
from node.web.pages import failures
from node.worklist.sinks import notices
from node.worklist.triage.decisions import Analysed, decide_study
from tests.node.phantoms import STUDY as UID
from tests.node.phantoms import result
from tests.node.web.conftest import Site, analyse, arrive


@pytest.fixture
def raised(site: Site, ledger: Ledger, tmp_path: Path) -> str:
    """A study that triage raised and that HL7 is to be told of; its work item's UID."""
    item = arrive(ledger)
    analyse(ledger, tmp_path)
    with ledger.write() as connection:
        notices.put(connection, "hl7", item, 1.0)
    return item


def answer(ledger: Ledger, *, refused: bool) -> None:
    with ledger.write() as connection:
        notice = notices.claim(connection, "hl7", 2.0, 20.0)
        assert notice is not None
        if refused:
            notices.rejected(connection, "hl7", notice, "AR: no such template", 2.0)
        else:
            notices.postponed(connection, "hl7", notice, "connection refused", 2.0, jitter=0.0)


def test_a_message_that_the_receiver_refused_is_a_failure_and_can_be_retried(
    site: Site, ledger: Ledger, raised: str
) -> None:
    assert "1 not yet delivered, 0 rejected" in site.client.get("/status").text
    answer(ledger, refused=True)
    page = site.client.get("/status").text
    assert "hl7 refused the message: AR: no such template" in page
    assert '0 not yet delivered, <span class="bad">1 rejected</span>' in page
    assert site.post(f"/status/retry/{UID}").status_code == 200
    with ledger.read() as connection:
        assert connection.execute(select(JOB.c.state).where(JOB.c.kind == "notice")).scalar_one() == JobState.PENDING


def test_a_message_that_could_not_be_sent_is_a_failure_until_it_is(site: Site, ledger: Ledger, raised: str) -> None:
    assert "None." in site.client.get("/status").text  # it only waits
    answer(ledger, refused=False)
    assert "hl7 is not notified: connection refused" in site.client.get("/status").text
    with ledger.write() as connection:
        connection.execute(update(JOB).where(JOB.c.kind == "notice").values(state=JobState.DELIVERED, last_error=""))
    assert "None." in site.client.get("/status").text


def test_objects_in_quarantine_are_a_failure_that_a_retry_makes_again(site: Site, ledger: Ledger, raised: str) -> None:
    with ledger.write() as connection:
        deliveries.put(connection, UID, 1, [result()], [], 1.0)
        connection.execute(update(RESULT).values(path=f"{QUARANTINE}/1.dcm"))
        (failure,) = failures.find(connection)
    assert "1 object did not pass our own checks" in failure["why"]
    page = site.client.get("/status").text
    assert failure["why"].split(";")[0] in page
    assert failure["again"] and f"/status/retry/{UID}" in page
    with ledger.write() as connection:  # a later generation passed
        connection.execute(update(RESULT).values(path="results/1.dcm"))
        assert failures.find(connection) == []


def test_the_administrator_is_told_of_alerts_that_wait_and_of_packages_that_flag_everything(
    site: Site, ledger: Ledger
) -> None:
    assert "0 alerts waiting" in site.client.get("/status").text
    policy, now = Policy(), time.time()
    finding = FoundFinding("chest-xray", "Pneumothorax", "probability", 0.87, 0.5, True, "", "HIGH")
    for number in range(policy.stuck_studies):
        arrive(ledger, f"{UID}.{number}", now)
        with ledger.write() as connection:
            decide_study(connection, Analysed(f"{UID}.{number}", 1, (finding,)), policy, now)
    page = site.client.get("/status").text
    assert f"{policy.stuck_studies - policy.alerts_an_hour} alerts waiting" in page
    assert "chest-xray flags nearly everything: it is in shadow mode until that stops" in page


def test_a_job_of_no_study_has_a_button_of_its_own(site: Site, ledger: Ledger) -> None:
    later = time.time() + 3600
    with ledger.write() as connection:
        number = jobs.put(connection, jobs.NewJob(JobKind.AUDIT_MESSAGE, "syslog", last_error="down"), 0.0, later)
    assert f'hx-post="/status/retry-job/{number}"' in site.client.get("/status").text
    assert site.post(f"/status/retry-job/{number}").status_code == 200
    with ledger.read() as connection:
        assert jobs.find(connection)[-1]["due_at"] < later
    assert site.post("/status/retry-job/999").status_code == 409
    assert site.post("/status/retry-job/x").status_code == 404
