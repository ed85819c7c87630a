"""The page in a real Chromium."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from node.ledger.engine import Ledger
from node.worklist.items.priority import RequestedPriority
from node.worklist.reading import work_items
from tests.conftest import need
from tests.node.phantoms import STUDY
from tests.node.web.conftest import Serve, Site, analyse, arrive
from tests.waiting import at_most

FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
OTHERS = ("1.2.1", "1.2.2", "1.2.3")
ABORTED = re.compile("htmx:(afterRequest|sendAbort), ")  # htmx's word on a request that a newer one replaces
CONTRASTS = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (v) => v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (e) => {
    const colour = rgb(getComputedStyle(e).backgroundColor);
    return colour.length < 4 || colour[3] > 0.99 ? colour : behind(e.parentElement);
  };
  const says = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  return [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && !e.closest(".unseen") && says(e))
    .map((e) => {
      const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
      return [e.textContent.trim().slice(0, 40), (a + 0.05) / (b + 0.05)];
    });
}"""  # of every text: (its beginning, contrast ratio to what is behind it), WCAG 2.2 1.4.3
MARK = "(row) => getComputedStyle(row.cells[1], '::after').content"
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = need("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """Open a page of a site; whatever it complains of, asks outside or pops up fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_page(site: Site, path: str = "/", width: int = 1280, motion: str = "no-preference") -> Page:
        context = chromium.new_context(viewport={"width": width, "height": 800}, reduced_motion=motion)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda said: _complain(complaints, said))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
        page.on("request", lambda asked: None if asked.url.startswith(site.url) else complaints.append(asked.url))
        page.goto(site.url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def _complain(complaints: list[str], said: ConsoleMessage) -> None:
    if said.type in ("error", "warning") and not ABORTED.match(said.text):
        complaints.append(said.text)


@pytest.fixture
def worklist(ledger: Ledger) -> Ledger:
    """Three studies that wait, and one that came last."""
    now = time.time()
    for number, uid in enumerate(OTHERS):
        arrive(ledger, uid, now - 600 + number, PatientName=f"Patient^{number}", AccessionNumber=f"A{number}")
    arrive(ledger, STUDY, now - 10, PatientName="Last^Comer", AccessionNumber="A9")
    return ledger


def live(page: Page) -> Page:
    expect(page.locator("#live")).to_have_text("live")
    return page


def names(page: Page) -> list[str]:
    return page.locator("#lines tbody bdi").all_inner_texts()[::4]  # name, ID, procedure, accession


def test_a_row_moves_up_within_a_second_of_the_result_and_is_seen(
    site: Site, worklist: Ledger, open_page: Open, tmp_path: Path
) -> None:
    page = live(open_page(site))
    assert names(page)[-1] == "Last, Comer"
    page.wait_for_timeout(300)  # what opening the stream asked for has come
    page.evaluate("""() => new MutationObserver(() => {
      if (document.querySelector("#lines tr.moved")) window.movedAt ??= Date.now();
    }).observe(document.body, {subtree: true, childList: true, attributes: true})""")
    analyse(worklist, tmp_path)
    written = time.time()
    row = page.locator("#lines tbody tr").first
    expect(row).to_have_class(re.compile("moved"))
    assert page.evaluate("window.movedAt") / 1000 - written < at_most(1.0)
    assert names(page)[0] == "Last, Comer"
    assert page.evaluate("document.getAnimations().some((one) => one.effect.getKeyframes().some((k) => k.transform))")
    assert row.evaluate(MARK) == '"moved up"'
    expect(page.locator("#announcement")).to_have_text("A study moved up to line 1, priority HIGH")


def test_who_wants_no_motion_sees_it_without(site: Site, worklist: Ledger, open_page: Open, tmp_path: Path) -> None:
    page = live(open_page(site, motion="reduce"))
    page.wait_for_timeout(300)
    analyse(worklist, tmp_path)
    row = page.locator("#lines tr.moved")
    assert row.evaluate(MARK) == '"moved up"'
    assert page.evaluate("document.getAnimations().length") == 0
    assert row.evaluate("(row) => getComputedStyle(row).backgroundColor") == "rgb(90, 52, 22)"


def test_a_change_of_the_filter_is_no_move(site: Site, worklist: Ledger, open_page: Open, tmp_path: Path) -> None:
    analyse(worklist, tmp_path)
    page = live(open_page(site))
    page.get_by_label("MEDIUM").check(force=True)
    expect(page.locator("#lines tbody tr")).to_have_count(3)
    page.get_by_label("All").check(force=True)
    expect(page.locator("#lines tbody tr")).to_have_count(4)
    assert page.evaluate("document.getAnimations().length") == 0
    assert page.locator("tr.moved").count() == 0


def test_search_finds_as_one_types(site: Site, worklist: Ledger, open_page: Open) -> None:
    page = live(open_page(site))
    page.keyboard.press("/")
    page.keyboard.type("comer j")  # j is a letter here
    expect(page.locator("#lines")).to_contain_text("Nothing matches.")
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    expect(page.locator("#lines tbody tr")).to_have_count(1)
    assert "comer" not in page.url.lower()
    stored = page.evaluate("JSON.stringify([localStorage, sessionStorage])").lower()
    assert not re.search("comer|patient|a9", stored), stored


def test_keys_move_open_and_keep_their_row_while_others_move(
    site: Site, worklist: Ledger, open_page: Open, tmp_path: Path
) -> None:
    page = live(open_page(site))
    focused = "document.activeElement.innerText"
    for key, name in (("j", "Patient, 0"), ("j", "Patient, 1"), ("k", "Patient, 0"), ("k", "Patient, 0")):
        page.keyboard.press(key)
        assert page.evaluate(focused) == name
    expect(page.locator("#lines tr:focus-within")).to_have_css("outline-style", "solid")  # rows may just be replaced
    page.wait_for_timeout(300)
    analyse(worklist, tmp_path)
    expect(page.locator("#lines tr.moved")).to_be_visible()
    assert page.evaluate(focused) == "Patient, 0"
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/study/{OTHERS[0]}")


def red(page: Page) -> int:
    """Clearly red pixels of the picture."""
    picture = Image.open(io.BytesIO(page.locator(".stage").screenshot())).convert("RGB")
    pixels = np.asarray(picture).astype(int)
    return int((pixels[..., 0] - pixels[..., 1] > 100).sum())


def test_a_layer_is_switched_and_faded(site: Site, worklist: Ledger, open_page: Open, tmp_path: Path) -> None:
    analyse(worklist, tmp_path)
    page = live(open_page(site, f"/study/{STUDY}"))
    shown = red(page)
    assert shown == 100 * 100
    page.get_by_label("Pneumothorax", exact=True).uncheck()
    assert red(page) == 0
    page.get_by_label("Pneumothorax", exact=True).check()
    assert red(page) == shown
    page.locator("#opacity").focus()
    page.keyboard.press("Home")
    assert (page.locator("#opacity-value").inner_text(), red(page)) == ("0 %", 0)
    page.keyboard.press("o")
    assert red(page) == shown
    expect(page.locator(".stage")).to_contain_text("chest-xray · research use, not for diagnosis")


def test_a_reader_claims_judges_and_completes(site: Site, worklist: Ledger, open_page: Open, tmp_path: Path) -> None:
    analyse(worklist, tmp_path)
    page = live(open_page(site, f"/study/{STUDY}"))
    page.get_by_role("button", name="Claim").click()
    page.get_by_role("button", name="disagree").first.click()
    expect(page.get_by_role("button", name="disagree").first).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Complete").click()
    expect(page.locator("#panel")).to_contain_text("COMPLETED")
    expect(page.locator(".story")).to_contain_text("Pneumothorax (chest-xray): disagree")


def test_a_study_that_is_analysed_while_one_looks_shows_its_findings(
    site: Site, worklist: Ledger, open_page: Open, tmp_path: Path
) -> None:
    page = live(open_page(site, f"/study/{STUDY}"))
    expect(page.locator(".stage")).to_have_count(0)
    page.wait_for_timeout(300)
    analyse(worklist, tmp_path)
    expect(page.locator(".stage .layer")).to_be_visible()


def test_what_was_refused_is_said(site: Site, worklist: Ledger, open_page: Open) -> None:
    page = live(open_page(site, f"/study/{STUDY}"))
    page.evaluate(
        "document.dispatchEvent(new CustomEvent('htmx:responseError', {detail: {xhr: {responseText: 'Not so.'}}}))"
    )
    expect(page.get_by_role("alert")).to_have_text("Not so.")
    page.evaluate("refresh()")
    page.wait_for_timeout(1500)  # what the page asks for by itself has come
    expect(page.get_by_role("alert")).to_have_text("Not so.", timeout=1)


def test_a_token_is_asked_for_and_opens(serve: Serve, worklist: Ledger, open_page: Open) -> None:
    site = serve(token="sesame")
    page = open_page(site)
    assert page.url == f"{site.url}/login"
    page.get_by_label("Token").fill("sesame")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/")
    assert len(names(live(page))) == 4
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{site.url}/login")
    page.goto(f"{site.url}/status")
    assert page.url == f"{site.url}/login"


def test_hostile_names_run_nothing(site: Site, ledger: Ledger, open_page: Open, tmp_path: Path) -> None:
    arrive(
        ledger,
        PatientName="<script>alert(1)</script>^<iframe>",
        PatientID="'\"><svg onload=alert(3)>",
    )
    analyse(ledger, tmp_path)
    page = live(open_page(site))
    assert names(page) == ["<script>alert(1)</script>, <iframe>"]
    live(open_page(site, f"/study/{STUDY}"))


@pytest.mark.parametrize("width", [1280, 1920])
def test_every_page_fits_the_screen_and_is_legible(
    site: Site, worklist: Ledger, open_page: Open, tmp_path: Path, width: int
) -> None:
    long = {"PatientName": "A" * 40 + "^" + "B" * 20, "PatientID": "9" * 64, "AccessionNumber": "7" * 16}
    arrive(worklist, "1.2.9", **long, StudyDescription="W" * 60)
    analyse(worklist, tmp_path)
    with worklist.write() as connection:
        work_items.raise_priority(
            connection, "1.2.1", RequestedPriority(None, "not analysed, because: " + "x" * 200), time.time()
        )
    for path in ("/", f"/study/{STUDY}", "/study/1.2.9", "/status"):
        page = live(open_page(site, path, width))
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        faint = [one for one in page.evaluate(CONTRASTS) if one[1] < 7]
        assert faint == [], path
