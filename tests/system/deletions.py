"""`python -m tests.system.deletions`: `readfirst node` is killed (-9) while retention deletes and studies stream in.

The node is the product's own process, with its port, ledger, dispatcher and retention; there is no queue, and this
process does the workers' part in the ledger: each study is analysed, and its one result delivered, as it is told. A
PACS shows the images of every other study. Every fourth study keeps an undelivered result. Every third study gets its
last image late, when the others may be going. `images_days` is two seconds.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ports import free_port
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind
from sqlalchemy import select

from node.entities import AnalysisReport, ResultObject, StudyState
from node.ledger import studies
from node.ledger.engine import Ledger, sqlite_url
from node.ledger.tables import INSTANCE, STUDY
from node.processes import die_with_parent
from node.receiving.store import dataset_sha256
from node.sending import deliveries
from tests.node.phantoms import image
from tests.system.faults.sender import NAME, Sender
from tests.system.faults.studies import ROOT, Image, written
from tests.waiting import wait_until

IMAGES = 60  # of a study: two steps, and the end
CODE = Path(__file__).resolve().parents[2]
CONFIG = """
[node]
port = {port}
data = "{data}"
quiet_seconds = 0.2
min_free_mb = 0
[queue]
url = "redis://127.0.0.1:1"
[web]
port = {web}
[peers.scanner]
ae_title = "{sender}"
host = "127.0.0.1"
send = ["images"]
[peers.pacs]
ae_title = "PACS"
host = "127.0.0.1"
port = {pacs}
query = true
[retention]
enabled = true
images_days = 0.00002
results_days = 0.00002
pictures_days = 0.00002
reserve_mb = 0
"""


@dataclass(frozen=True)
class Sent:
    """One study, and what may become of it."""

    number: int
    images: tuple[Image, ...]

    @property
    def uid(self) -> str:
        return self.images[0].study_instance_uid

    @property
    def shown(self) -> bool:
        """By the PACS."""
        return self.number % 2 == 0

    @property
    def delivered(self) -> bool:
        return self.number % 4 != 2

    @property
    def may_go(self) -> bool:
        return self.shown and self.delivered


@dataclass
class Ground:
    """The node, who sends, the PACS, and the workers' part."""

    folder: Path
    port: int = field(default_factory=free_port)
    pacs: int = field(default_factory=free_port)
    sent: list[Sent] = field(default_factory=list)
    hit: int = 0
    """Kills that found a study half deleted."""

    def __post_init__(self) -> None:
        self.data = self.folder / "var"
        self.data.mkdir()
        names = {"port": self.port, "data": self.data, "web": free_port(), "sender": NAME, "pacs": self.pacs}
        (self.folder / "readfirst.toml").write_text(CONFIG.format(**names))
        (self.folder / "images").mkdir()
        self.sender, self.stopping, self.sent_all = Sender(self.port), threading.Event(), threading.Event()

    def start(self) -> None:
        command = [sys.executable, "-m", "node", "node", "--config", str(self.folder / "readfirst.toml")]
        with (self.folder / "node.log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=CODE, preexec_fn=die_with_parent)  # noqa: PLW1509
        wait_until(lambda: "readfirst: ready" in self.log or self.process.poll() is not None, lambda: self.log, 120.0)
        assert self.process.poll() is None, self.log

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        with closing(self.ledger()) as ledger, ledger.read() as connection:
            self.hit += connection.execute(select(STUDY.c.deleting).where(STUDY.c.deleting != "")).first() is not None

    @property
    def log(self) -> str:
        return (self.folder / "node.log").read_text(errors="replace")

    def ledger(self) -> Ledger:
        return Ledger(sqlite_url(self.data))

    def shows(self) -> Iterator[tuple[int, Dataset | None]]:
        for study in [one for one in self.sent if one.shown]:
            for one in study.images:
                match = Dataset()
                match.SOPInstanceUID, match.StudyInstanceUID = one.sop_instance_uid, study.uid
                yield 0xFF00, match

    def on_find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        for status, match in self.shows():
            if match is not None and match.StudyInstanceUID == event.identifier.StudyInstanceUID:
                yield status, match
        yield 0x0000, None

    def next(self) -> Sent:
        """A further study of small images."""
        number, made = len(self.sent), []
        study = f"{ROOT}.{number}"
        for index in range(IMAGES):
            ds = image(f"{study}.1.{index}", StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1")
            ds.file_meta = FileMetaDataset()
            made.append(written(ds, self.folder / "images" / f"{ds.SOPInstanceUID}.dcm"))
        return Sent(number, tuple(made))

    def stream(self) -> None:
        """Studies one after the other; the last image of every third one when three others were sent."""
        late: list[tuple[int, Image]] = []
        while not self.stopping.is_set():
            study = self.next()
            self.sent.append(study)
            held_back = study.number % 3 == 0
            self.sender.push(study.images[:-1] if held_back else study.images)
            late += [(study.number, study.images[-1])] if held_back else []
            while late and late[0][0] + 3 <= study.number:
                self.sender.push([late.pop(0)[1]])
        for _number, one in late:
            self.sender.push([one])

    def work(self) -> None:
        """Analyse and deliver what is queued, until all is done."""
        with closing(self.ledger()) as ledger:
            while not self.sent_all.is_set() or self.unfinished(ledger):
                with ledger.read() as connection:
                    queued = select(STUDY.c.study_instance_uid, STUDY.c.generation)
                    rows = connection.execute(queued.where(STUDY.c.state == StudyState.QUEUED)).all()
                for row in rows:
                    self._analyse(ledger, row.study_instance_uid, row.generation)
                time.sleep(0.05)

    def unfinished(self, ledger: Ledger) -> bool:
        """Whether something was not received or analysed yet."""
        with ledger.read() as connection:
            known = connection.execute(select(STUDY.c.study_instance_uid)).all()
            return len(known) < len(self.sent) or studies.unfinished(connection) > 0

    def _analyse(self, ledger: Ledger, uid: str, generation: int) -> None:
        sent = next(one for one in self.sent if one.uid == uid)
        now, file = time.time(), f"results/{uid}/{uid}.77.{generation}.dcm"
        (self.data / file).parent.mkdir(parents=True, exist_ok=True)
        with ledger.write() as connection:
            if not studies.claim(connection, uid, generation, now):
                return
        (self.data / file).write_bytes(b"result")
        made = ResultObject(f"{uid}.77.{generation}", "1.2.3", "2.25.9", "none", "statement", file)
        with ledger.write() as connection:
            if not studies.finish(
                connection, uid, generation, AnalysisReport(StudyState.ANALYSED, results=(made,)), now
            ):
                return
            deliveries.put(connection, uid, generation, (made,), ("pacs",), now)
            for row in deliveries.claim(connection, uid, "pacs", now) if sent.delivered else ():
                deliveries.record_sent(connection, row, "pacs", "", now)


def wrongs(ground: Ground) -> list[str]:
    """A sentence for each thing that was answered Success and is not as it must be."""
    found: list[str] = []
    with closing(ground.ledger()) as ledger, ledger.read() as connection:
        rows = {row.sop_instance_uid: row for row in connection.execute(select(INSTANCE))}
        newest = {row.study_instance_uid: row.generation for row in connection.execute(select(STUDY))}
    files = {path.stem: path for path in (ground.data / "instances").rglob("*.dcm")}
    for uid in sorted(files.keys() ^ rows.keys()):
        found.append(f"{uid}: {'a file without its row' if uid in files else 'a row without its file'}")
    trail = "\n".join(path.read_text() for path in (ground.data / "audit").glob("*.log"))
    deleted = re.findall(r'EventActionCode="D".*?ParticipantObjectID="([0-9.]+)"', trail)
    for study in ground.sent:
        for one in study.images:
            if one not in ground.sender.answered:
                found.append(f"{one.sop_instance_uid} was never answered Success")
            elif one.sop_instance_uid not in rows and not study.may_go:
                found.append(f"{one.sop_instance_uid} is lost")
            elif one.sop_instance_uid in files and dataset_sha256(files[one.sop_instance_uid]) != one.sha256:
                found.append(f"{one.sop_instance_uid} is torn")
        result = ground.data / "results" / study.uid / f"{study.uid}.77.{newest.get(study.uid)}.dcm"
        if not study.delivered and not result.exists():
            found.append(f"the undelivered result of {study.uid} is lost")
        if study.may_go and study.uid not in deleted:
            found.append(f"{study.uid} was deleted, and no audit message has it")
    return found


def left(ground: Ground) -> list[str]:
    """Studies whose images may go, and have not."""
    with closing(ground.ledger()) as ledger, ledger.read() as connection:
        known = set(connection.execute(select(INSTANCE.c.study_instance_uid)).scalars())
        uids = sorted(known & {one.uid for one in ground.sent if one.may_go})
        return [str(row) for row in connection.execute(select(STUDY).where(STUDY.c.study_instance_uid.in_(uids)))]


def run(folder: Path, kills: int, seed: int) -> tuple[Ground, list[str]]:
    """Kill it so often; then let it end what it has begun, and count."""
    ground, rng = Ground(folder), random.Random(seed)
    ae = AE("PACS")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    handlers = [(evt.EVT_C_FIND, ground.on_find)]
    with ExitStack() as stack:
        server = ae.start_server(("127.0.0.1", ground.pacs), block=False, evt_handlers=handlers)
        stack.callback(server.shutdown)
        ground.start()
        threads = [threading.Thread(target=work, daemon=True) for work in (ground.stream, ground.work)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(ground.sent) > 4, "nothing is sent", 120.0)
        for _ in range(kills):
            time.sleep(rng.uniform(0.0, rng.choice((0.3, 2.0))))
            ground.kill()
            ground.start()
        ground.stopping.set()
        threads[0].join(300.0)
        ground.sent_all.set()  # a study may have grown until now
        threads[1].join(300.0)
        time.sleep(3.0)  # what was analysed last is old enough
        ground.kill()
        ground.start()
        wait_until(lambda: not left(ground), lambda: f"{left(ground)} are left: {ground.log[-2000:]}", 120.0)
        ground.process.terminate()
        ground.process.wait(60.0)
    return ground, wrongs(ground)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.deletions", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=18)
    options = parser.parse_args(arguments)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="readfirst-deletions-") as folder:
        ground, found = run(Path(folder), options.kills, options.seed)
    print("\n".join(found))
    may_go = sum(one.may_go for one in ground.sent)
    print(
        f"{options.kills} kills, {ground.hit} of them with a study half deleted; {len(ground.sender.answered)} images "
        f"of {len(ground.sent)} studies answered Success, {may_go} studies deleted; {len(found)} wrong; "
        f"{time.monotonic() - begin:.0f} s"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
