"""The demo: starts everything, pushes the sample studies, and shows the results. Started by `deploy/demo`."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

from overlay import draw
from pacs import Orthanc, can_start
from ports import free_port
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from node.admin import queries
from node.admin.study_view import study_view
from node.dicom.headers import read_header
from node.errors import ReadFirstError
from node.ledger import studies
from node.ledger.engine import open_ledger
from node.sending import deliveries, scu
from node.settings import Peer, load
from node.worklist.reading import work_items

_HERE = Path(__file__).resolve().parent
_SAMPLES = _HERE / "samples"
_WAITING = ("chest-xray-normal", "chest-xray-effusion", "chest-ct", "dog")
_URGENT = "chest-xray-pneumothorax"  # sent when the others already wait to be read
_QUIET, _PATIENCE, _FASTEST = 2.0, 240.0, 3.0  # seconds
_OUT = Console(highlight=False, width=None if sys.stdout.isatty() else 160)


class DemoError(Exception):
    """Why the demo failed, for the last line."""


def main() -> None:
    """Run the demo; the last line is `demo: ok` or the reason."""
    parser = argparse.ArgumentParser(prog="deploy/demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="stay up until Ctrl-C, to look around")
    parser.add_argument("--out", type=Path, default=Path("demo-results"), help="where everything of the demo is kept")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        with ExitStack() as stack:
            Demo(arguments.out.resolve(), stack).run(keep=arguments.keep)
    except (DemoError, ReadFirstError, OSError) as error:
        print(f"demo: {error}", flush=True)
        sys.exit(1)
    print("demo: ok", flush=True)


class Demo:
    """One run, with everything below `out`."""

    def __init__(self, out: Path, stack: ExitStack) -> None:
        if (out / "state").exists() and not (out / "state" / "readfirst.toml").exists():
            raise DemoError(f"{out / 'state'} is there and is not of an earlier demo: name another folder with --out")
        shutil.rmtree(out / "state", ignore_errors=True)
        (out / "state").mkdir(parents=True)
        self.out, self.config = out, out / "state" / "readfirst.toml"
        self.port, self.web = free_port(), free_port()
        self.samples = {str(_header(_SAMPLES / name).StudyInstanceUID): name for name in (*_WAITING, _URGENT)}
        us = {"readfirst": ("READFIRST", "127.0.0.1", self.port)}
        self.pacs = stack.enter_context(Orthanc(out / "state" / "pacs", us)) if can_start() else None
        self.folder = out / "state" / "results-folder"
        self.config.write_text(self._toml())
        self.log = out / "state" / "readfirst.log"
        stack.enter_context(self._up())
        self.ledger = open_ledger(load(self.config))
        stack.callback(self.ledger.close)

    def run(self, *, keep: bool) -> None:
        """Everything that the demo shows, in order."""
        self._print_addresses()
        for name in _WAITING:
            self._push(name)
        self._wait(_WAITING)
        before = self._worklist()
        self._push(_URGENT)
        stories = self._wait((*_WAITING, _URGENT))
        self._show_findings(stories)
        self._show_worklist(before, self._worklist())
        self._show_speed(stories)
        self._push(_URGENT)
        self._check_unchanged(stories)
        self._draw(stories)
        _OUT.print(f"Everything is below {self.out}; the ledger, the log and the configuration in its folder state.")
        if keep:
            self._stay()

    def _toml(self) -> str:
        receiver = f"folder = {json.dumps(str(self.folder))}"
        if self.pacs:
            receiver = f'ae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {self.pacs.dicom_port}\nquery = true'
        return "\n".join(
            (
                "[node]", f"port = {self.port}", f"data = {json.dumps(str(self.out / 'state' / 'var'))}",
                f"quiet_seconds = {_QUIET}", "", "[web]", f"port = {self.web}", "", "[peers.scanner]",
                'ae_title = "SCANNER"', 'host = "127.0.0.1"', 'send = ["images"]', "", "[peers.pacs]", receiver,
                'receive = ["results"]', "",
                "[models]", 'packages = ["chest-xray", "chest-ct", "chest-ct-findings"]', "", "[worklist.policy]",
                'unproven_may_raise = ["Pneumothorax"]', "",
            )
        )  # fmt: skip

    @contextmanager
    def _up(self) -> Iterator[None]:
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "node", "up", "--config", str(self.config)]
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=_HERE.parent)
        try:
            with _spinner("starting: DICOM node, Redis, two workers, models"):
                self._until(lambda: process.poll() is not None or self._is_ready(), "the node did not start")
            if process.poll() is not None:
                raise DemoError(f"the node did not start: {self.log.read_text(errors='replace').splitlines()[-1]}")
            yield
        finally:
            process.terminate()
            process.wait()

    def _is_ready(self) -> bool:
        log = self.log.read_text(errors="replace")
        return "readfirst: ready" in log and "worker ready" in log

    def _until(self, holds: Callable[[], object], otherwise: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                raise DemoError(f"{otherwise} within {_PATIENCE:.0f} s; see {self.log}")
            time.sleep(0.1)

    def _print_addresses(self) -> None:
        _OUT.print(f"ReadFirst listens as READFIRST@127.0.0.1:{self.port}; worklist http://127.0.0.1:{self.web}")
        if self.pacs:
            where = f"ORTHANC@127.0.0.1:{self.pacs.dicom_port}, web page http://127.0.0.1:{self.pacs.http_port}"
            _OUT.print(f"The PACS is Orthanc: {where}")
        else:
            why = "Orthanc, or a C compiler that keeps it on loopback, is not installed"
            _OUT.print(f"{why}, so the results go to a folder: {self.folder}")

    def _push(self, name: str) -> None:
        """As a PACS does it: the study is stored there, and sent on to us."""
        files = sorted((_SAMPLES / name).glob("*.dcm"))
        if self.pacs and name != "dog":  # its Pixel Data has an odd length, which Orthanc does not take
            self._send(name, files, Peer(ae_title="ORTHANC", host="127.0.0.1", port=self.pacs.dicom_port))
        self._send(name, files, Peer(ae_title="READFIRST", host="127.0.0.1", port=self.port))
        _OUT.print(f"pushed {name}: {len(files)} instance{'s' * (len(files) > 1)}")

    def _send(self, name: str, files: list[Path], to: Peer) -> None:
        with _spinner(f"pushing {name} to {to.ae_title}"):
            outcomes = scu.store(scu.Requestor("SCANNER"), to, files)
        errors = [f"{outcome.path}: {outcome.error}" for outcome in outcomes if outcome.error]
        if errors:
            raise DemoError(f"{name} could not be pushed to {to.ae_title}: {errors[0]}")

    def _worklist(self) -> list[dict[str, Any]]:
        with self.ledger.read() as connection:
            return [work_items.as_json(row) for row in work_items.listing(connection)]

    def _story(self, uid: str) -> dict[str, Any]:
        with self.ledger.read() as connection:
            view = study_view(connection, uid)
        story = view.as_json() if view else None
        if story is None:
            raise DemoError(f"{self.samples[uid]} was pushed and is not known; see {self.log}")
        return story

    def _wait(self, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
        """The story of each of these samples, by name, once nothing is under way any more."""
        deadline = time.monotonic() + _PATIENCE
        with _spinner("waiting") as show:
            while True:
                with self.ledger.read() as connection:
                    known = {row["study_instance_uid"]: row["state"] for row in queries.list_studies(connection, 99)}
                    busy = studies.unfinished(connection) or deliveries.undelivered(connection)
                if len(known) == len(names) and not busy:
                    break
                if time.monotonic() > deadline:
                    raise DemoError(f"not everything was done within {_PATIENCE:.0f} s: {known}; see {self.log}")
                show(", ".join(f"{self.samples[uid]} {state}" for uid, state in known.items()))
                time.sleep(0.2)
        stories = {name: self._story(uid) for uid, name in self.samples.items() if name in names}
        failed = [f"{name}: {story['reason']}" for name, story in stories.items() if story["state"] == "failed"]
        if failed:
            raise DemoError("; ".join(failed))
        if stories["dog"]["state"] != "not analysed":
            raise DemoError("the dog was analysed")
        return stories

    def _show_findings(self, stories: dict[str, dict[str, Any]]) -> None:
        title = "Findings (present ones; the statement in the PACS lists the absent ones, too)"
        caption = "No training has seen the radiographs; deploy/samples/README.md tells why these, and what is missed."
        table = Table(title=title, caption=caption)
        for column in ("study", "finding", "probability", "location", "priority", "in the PACS"):
            table.add_column(column)
        for name, story in stories.items():
            rows = [row for row in story["findings"] if row["present"]]
            sent = _kinds(story)
            if not rows:
                table.add_row(name, story["reason"] or "nothing present", "", "", story["priority"], sent)
            for row in sorted(rows, key=lambda one: -one["probability"]):
                value = f"{100 * row['probability']:.0f} %" + (" (score)" if row["quantity"] == "score" else "")
                table.add_row(name, row["label"], value, row["place"] or "no region", story["priority"], sent)
                name = sent = ""  # noqa: PLW2901
            table.add_section()
        _OUT.print(table)

    def _show_worklist(self, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
        caption = "Here Pneumothorax may raise the priority, which its card does not prove (unproven_may_raise)."
        table = Table(title=f"The reading worklist, before and after {_URGENT} was received", caption=caption)
        for column in ("before", "", "after", "", "why"):
            table.add_column(column)
        for old, new in zip_longest(before, after):
            row = (self.samples[old["study_instance_uid"]], old["priority"]) if old else ("", "")
            table.add_row(*row, self.samples[new["study_instance_uid"]], new["priority"], new["reason"])
        _OUT.print(table)

    def _show_speed(self, stories: dict[str, dict[str, Any]]) -> None:
        for name, story in stories.items():
            delivered = [_seconds(one["delivered_at"]) for one in story["deliveries"] if one["delivered_at"]]
            if not delivered:
                continue
            received = _seconds(story["last_received_at"])
            quiet = _QUIET if "quiet" in story["evidence"] else 0.0
            spent = max(delivered) - received - quiet
            waited = f"{quiet:g} s of quiet time excluded" if quiet else "no quiet time needed"
            _OUT.print(
                f"{name}: {spent:.2f} s from the last C-STORE Success to {len(delivered)} results in the PACS, {waited}"
                f" (complete by: {story['evidence']})"
            )
            if name == _URGENT and spent > _FASTEST:
                _OUT.print(f"  slower than the {_FASTEST:g} s that 2 free cores need: this machine is busy")

    def _check_unchanged(self, stories: dict[str, dict[str, Any]]) -> None:
        """After the same study was pushed again, the PACS holds what it held, and each result once."""
        time.sleep(_QUIET + 1)
        again = self._wait(tuple(stories))
        for name, story in again.items():
            wanted = _delivered(story)
            if wanted != _delivered(stories[name]):
                raise DemoError(f"{name}: pushed again, it has other results")
            there = [one for one in self._stored(story) if one["modality"] in ("SEG", "SR")]
            if sorted(one["sop_instance_uid"] for one in there) != sorted(wanted):
                raise DemoError(f"{name}: the PACS holds {len(there)} results of ours instead of {len(wanted)}")
        _OUT.print("Pushed once more, the same study gave no new results: the PACS holds exactly one set of each.")

    def _stored(self, story: dict[str, Any]) -> list[dict[str, Any]]:
        uid = story["study_instance_uid"]
        if self.pacs:
            return self.pacs.instances(uid)
        files = sorted((self.folder / uid).glob("*.dcm"))
        headers = [(path, read_header(path)) for path in files]
        return [{"path": p, "modality": h.Modality, "sop_instance_uid": str(h.SOPInstanceUID)} for p, h in headers]

    def _draw(self, stories: dict[str, dict[str, Any]]) -> None:
        for name, story in stories.items():
            if story["state"] != "analysed":
                continue
            kept = [self._fetch(one) for one in self._stored(story) if one["modality"] == "SEG"]
            present = [row["label"] for row in story["findings"] if row["present"]]
            caption = f"{name}: {', '.join(present) or 'nothing present'}; priority {story['priority']}"
            picture = self.out / f"{name}.png"
            draw(sorted((_SAMPLES / name).glob("*.dcm")), kept, caption, picture)
            _OUT.print(f"picture: {picture}")

    def _fetch(self, instance: dict[str, Any]) -> Path:
        if not self.pacs:
            return Path(instance["path"])
        path = self.out / "state" / f"{instance['sop_instance_uid']}.dcm"
        path.write_bytes(self.pacs.rest(f"/instances/{instance['id']}/file"))
        return path

    def _stay(self) -> None:
        _OUT.print("demo: up until Ctrl-C. Try, in another terminal:")
        _OUT.print(f"  .venv/bin/readfirst worklist --config {self.config}")
        try:
            signal.pause()
        except KeyboardInterrupt:
            return


def _header(folder: Path) -> Any:
    return read_header(next(iter(sorted(folder.glob("*.dcm")))))


def _kinds(story: dict[str, Any]) -> str:
    return ", ".join(sorted(one["kind"] for one in story["deliveries"] if one["state"] == "delivered")) or "nothing"


def _delivered(story: dict[str, Any]) -> set[str]:
    return {one["sop_instance_uid"] for one in story["deliveries"] if one["state"] == "delivered"}


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


@contextmanager
def _spinner(text: str) -> Iterator[Callable[[str], None]]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(text)
        yield lambda words: progress.update(task, description=words)


if __name__ == "__main__":
    main()
