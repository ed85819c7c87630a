"""What packages in shadow mode say stays off the worklist and is marked on the study's page."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from node.entities import AnalysisReport, FoundFinding, StudyState
from node.ledger import studies
from node.ledger.engine import Ledger
from node.settings import Policy
from node.worklist.triage.decisions import Analysed, decide_study, silent_packages
from tests.node.phantoms import STUDY as UID
from tests.node.phantoms import claim
from tests.node.web.conftest import Site, arrive

LOUD = FoundFinding("chest-ct", "Nodule", "probability", 0.7, 0.5, True, "left lung", "MEDIUM")
QUIET = FoundFinding("trial-xray", "Pneumothorax", "probability", 0.87, 0.5, True, "left upper zone", "HIGH")
Decide = Callable[..., None]


@pytest.fixture
def decide(ledger: Ledger) -> Decide:
    """A study's analysis ends, and triage decides by this policy, as a worker does both."""

    def decide(policy: Policy, *findings: FoundFinding, uid: str = UID) -> None:
        arrive(ledger, uid)
        with ledger.write() as connection:
            claim(connection, uid)
            assert studies.finish(connection, uid, 1, AnalysisReport(StudyState.ANALYSED, "", findings), time.time())
            decide_study(connection, Analysed(uid, 1, findings), policy, time.time())

    return decide


def silent(ledger: Ledger, uid: str = UID) -> frozenset[str]:
    with ledger.read() as connection:
        return silent_packages(connection, uid)


def test_a_package_in_shadow_mode_is_not_on_the_worklist(site: Site, decide: Decide) -> None:
    decide(Policy(shadow=("trial-xray",)), LOUD, QUIET)
    page = site.client.get("/").text
    assert "Nodule" in page
    assert "chest-ct, research use" in page
    assert "Pneumothorax" not in page
    assert "trial-xray" not in page


def test_where_all_are_in_shadow_mode_the_line_says_only_that(site: Site, decide: Decide) -> None:
    decide(Policy(shadow=("*",)), LOUD, QUIET)
    page = site.client.get("/").text
    assert "shadow mode: analysed, not shown" in page
    assert "Pneumothorax" not in page  # nor in the reason of the priority
    assert "Nodule" not in page


def test_the_study_page_marks_what_is_in_shadow_mode(site: Site, decide: Decide) -> None:
    decide(Policy(shadow=("trial-xray",)), LOUD, QUIET)
    models = site.client.get(f"/study/{UID}").text.split('<p class="model">')[1:]
    marked = {model.split(" ")[0]: "shadow mode: nothing of it was sent" in model.split("</p>")[0] for model in models}
    assert marked == {"chest-ct": False, "trial-xray": True}


def test_nothing_is_in_shadow_mode_unless_somebody_said_so(site: Site, ledger: Ledger, decide: Decide) -> None:
    decide(Policy(), LOUD, QUIET)
    assert silent(ledger) == silent(ledger, "1.2.3") == frozenset()
    page = site.client.get("/").text
    assert "Pneumothorax" in page
    assert "shadow mode" not in page + site.client.get(f"/study/{UID}").text


def test_a_stuck_package_is_in_shadow_mode(ledger: Ledger, decide: Decide) -> None:
    policy = Policy(stuck_studies=3, alerts_an_hour=0)
    for number in range(4):
        assert silent(ledger) == frozenset()
        decide(policy, LOUD, QUIET, uid=f"{UID}.{number}")
    assert silent(ledger, f"{UID}.2") == frozenset()
    assert silent(ledger, f"{UID}.3") == {"trial-xray"}
