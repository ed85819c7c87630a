"""Makes the pictures of the page anew: `PYTHONPATH=.:deploy python deploy/pictures/make_page_pictures.py` in the root.

A whole `readfirst up` receives the sample studies; one of its two receivers is not there. Chromium shows its page.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from shutil import which

from playwright.sync_api import Error, Page, sync_playwright
from ports import free_port

from node.admin.study_view import study_view
from node.dicom.headers import read_header
from node.ledger.engine import Ledger, open_ledger
from node.sending import scu
from node.settings import Peer, load

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent / "samples"
ROUTINE = ("chest-xray-normal", "chest-xray-effusion", "dog", "chest-ct")
URGENT = "chest-xray-pneumothorax"
WITH_REGION = "chest-xray-effusion"
DEADLINE = 240.0  # seconds
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking")
SETTINGS = """
[node]
port = {port}
data = "{folder}/data"
quiet_seconds = 1.0
[web]
port = {web}
viewer_url = "https://ohif.example/viewer?StudyInstanceUIDs={{StudyInstanceUID}}"
[peers.scanner]
ae_title = "SCANNER"
host = "127.0.0.1"
send = ["images"]
[peers.archive]
folder = "archive"
receive = ["results"]
[peers.oldpacs]
ae_title = "OLDPACS"
host = "127.0.0.1"
port = {nobody}
receive = ["results"]
[worklist.policy]
unproven_may_raise = ["Pneumothorax"]
"""


def main() -> None:
    """The worklist just after an urgent result, its study, and the node's state."""
    chromium = which("chromium")
    if chromium is None:
        raise SystemExit("chromium is not installed (Debian: chromium)")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        port, web, folder = free_port(), free_port(), Path(name)
        config = folder / "readfirst.toml"
        config.write_text(SETTINGS.format(port=port, web=web, nobody=free_port(), folder=folder))
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        with running_node(config), closing(open_ledger(load(config))) as ledger:
            page = browser.new_page(viewport={"width": 1280, "height": 640})
            page.goto(f"http://127.0.0.1:{web}/")
            _photograph(page, ledger, port)
        browser.close()


@contextmanager
def running_node(config: Path) -> Iterator[None]:
    """`readfirst up` with this configuration, until leaving; its log stands beside the configuration."""
    log = config.parent / "log"
    with log.open("wb") as stream:
        command = [sys.executable, "-m", "node", "up", "--config", str(config)]
        process = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=config.parent)
    try:
        wait_until(
            lambda: all(line in log.read_text() for line in ("readfirst: ready", "worker ready")),
            "a node that is ready",
        )
        yield
    finally:
        process.terminate()
        process.wait()


def _photograph(page: Page, ledger: Ledger, port: int) -> None:
    for name in ROUTINE:
        _wait_for_results(_send(name, port), ledger)
    urgent = _send(URGENT, port)
    page.wait_for_selector("tr.moved", timeout=DEADLINE * 1000)
    with suppress(Error):  # a busy machine: the row is marked for 6 seconds, and the findings come later
        page.wait_for_selector("tr.moved:has-text('threshold')", timeout=4000)
    page.wait_for_timeout(1000)  # the row has reached its place
    page.screenshot(path=HERE / "page-worklist.png")
    _wait_for_results(urgent, ledger)
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(f"{page.url.rstrip('/')}/study/{_uid(WITH_REGION)}")
    page.locator("form.feedback button", has_text=re.compile("^agree")).first.click()
    page.wait_for_selector("form.feedback button[aria-pressed=true]")
    page.mouse.move(0, 0)
    page.screenshot(path=HERE / "page-study.png")
    page.goto(f"{page.url.partition('/study')[0]}/status")
    page.wait_for_load_state("networkidle")
    page.screenshot(path=HERE / "page-status.png", full_page=True)


def _send(name: str, port: int) -> str:
    """Send a sample to the node; its Study Instance UID."""
    to, paths = Peer(ae_title="READFIRST", host="127.0.0.1", port=port), sorted((SAMPLES / name).glob("*.dcm"))
    scu.store(scu.Requestor("SCANNER"), to, paths)
    return _uid(name)


def _uid(name: str) -> str:
    return str(read_header(next((SAMPLES / name).glob("*.dcm"))).StudyInstanceUID)


def _wait_for_results(uid: str, ledger: Ledger) -> None:
    wait_until(lambda: is_done(uid, "archive", ledger), f"the results of {uid}")


def is_done(uid: str, receiver: str, ledger: Ledger) -> bool:
    """Whether a study is analysed, or was found not to be for any model, and `receiver` has its results."""
    with ledger.read() as connection:
        view = study_view(connection, uid)
    if view is None or view.study is None or view.study["state"] not in ("analysed", "not analysed"):
        return False
    return not any(one["peer"] == receiver and one["state"] == "pending" for one in view.deliveries)


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait for a condition; SystemExit that names `what` was waited for after `DEADLINE`."""
    deadline = time.monotonic() + DEADLINE
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {DEADLINE:g} s for {what}")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
