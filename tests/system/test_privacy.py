"""Nothing of a patient in logs, queue, metrics, command lines or what crashes print: real processes, and failures."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import redis
from ports import free_port
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import UnifiedProcedureStepPull

from tests.system.needles import leaks
from tests.system.test_up import SAMPLES, Up

NAME, PATIENT, BORN, ACCESSION = "Geheimnisträger^Änneliese", "HUSH-4711-QX", "19480229", "ACC0815SECRET"
NEEDLES = ("Geheimnisträger", "Änneliese", PATIENT, BORN, "1948-02-29", ACCESSION)
PEERS = """
[peers.reader]
ae_title = "READER"
host = "127.0.0.1"
[peers.pacs]
ae_title = "PACS"
host = "127.0.0.1"
port = {port}
receive = ["results"]
query = true
[peers.files]
folder = "{folder}"
receive = ["results"]
[models]
packages = ["chest-xray"]
[results]
fallback = false
"""


def study(path: Path, character_set: str = "ISO_IR 100", **changes: object) -> Path:
    """The real radiograph as another patient's, under UIDs of its own."""
    dataset = dcmread(next((SAMPLES / "chest-xray-normal").glob("*.dcm")))
    dataset.SpecificCharacterSet = character_set
    dataset.PatientName, dataset.PatientID = NAME, PATIENT
    dataset.PatientBirthDate, dataset.AccessionNumber = BORN, ACCESSION
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, generate_uid())
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)
    return path


def with_bytes(path: Path, old: bytes, new: bytes) -> Path:
    assert len(old) == len(new)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path, PEERS.format(port=free_port(), folder=tmp_path / "files"))
    yield running
    running.process.kill()
    running.process.wait()


def push(up: Up, path: Path, calling: str = "SCANNER") -> subprocess.CompletedProcess[str]:
    return up.readfirst("send", str(path), "--to", f"READFIRST@127.0.0.1:{up.port}", "--as", calling)


def good_and_bad(up: Up, folder: Path) -> str:
    """Studies of every fate; what the sender's terminal said."""
    latin = NAME.encode("latin-1")
    fates = {
        "latin": study(folder / "latin"),
        "utf8": study(folder / "utf8", "ISO_IR 192"),
        "unknown set": study(folder / "set", "ISO_IR 100"),
        "wrong bytes": study(folder / "bytes", "ISO_IR 192"),
        "no pixels": study(folder / "pixels", PixelData=encapsulate([b"no picture"])),
        "no study": study(folder / "no-study", StudyInstanceUID=""),
        "mismatch": study(folder / "mismatch"),
    }
    with_bytes(fates["unknown set"], b"ISO_IR 100", b"ISO_IR 999")
    odd = NAME.encode()
    with_bytes(fates["wrong bytes"], odd, (latin + b" " * len(odd))[: len(odd)])
    meta = dcmread(fates["mismatch"])
    meta.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.save_as(fates["mismatch"], enforce_file_format=False)
    said = [push(up, path) for path in fates.values()] + [push(up, fates["latin"], "READER")]
    refused = {name for name, done in zip([*fates, "forbidden"], said, strict=True) if done.returncode}
    assert refused == {"no study", "mismatch", "forbidden"}
    return "".join(done.stdout + done.stderr for done in said)


def ask_for_the_patient(up: Up) -> None:
    """By C-FIND, by UPS-RS with the ID in the URL, and on the page."""
    ae, keys = AE("SCANNER"), Dataset()
    keys.PatientName, keys.PatientID, keys.PatientBirthDate = f"{NAME.split('^', maxsplit=1)[0]}*", PATIENT, BORN
    keys.SpecificCharacterSet = "ISO_IR 192"
    ae.add_requested_context(UnifiedProcedureStepPull)
    association = ae.associate("127.0.0.1", up.port, ae_title="READFIRST")
    assert association.is_established
    list(association.send_c_find(keys, UnifiedProcedureStepPull))
    association.release()
    page = f"http://127.0.0.1:{up.web}"
    with httpx.Client(trust_env=False) as client:
        found = client.get(f"{page}/dicomweb/workitems?PatientID={PATIENT}&00100010={quote(NAME)}")
        assert found.status_code == 200, found.text
        assert client.get(f"{page}/dicomweb/workitems?PatientBirthDate={BORN}&Nonsense={PATIENT}").status_code == 400
        assert client.get(f"{page}/study/{PATIENT}").status_code == 404
        client.post(f"{page}/dicomweb/workitems", content=f'{{"00100020": "{PATIENT}"}}')


def break_the_ledger(up: Up, folder: Path) -> None:
    """Errors of the database name the statement and its values, among them a work item's attributes."""
    with sqlite3.connect(folder / "var" / "ledger.sqlite", timeout=30) as ledger:
        ledger.execute("ALTER TABLE work_item RENAME TO away")
    push(up, study(folder / "broken"))
    up.until(lambda: "OperationalError" in up.said)
    with httpx.Client(trust_env=False) as client:
        client.get(f"http://127.0.0.1:{up.web}/")
        client.get(f"http://127.0.0.1:{up.web}/dicomweb/workitems?PatientID={PATIENT}")
    with sqlite3.connect(folder / "var" / "ledger.sqlite", timeout=30) as ledger:
        ledger.execute("ALTER TABLE away RENAME TO work_item")


def everything_of_redis(folder: Path) -> bytes:
    """All that it holds, its append-only file, and a dump of it without compression."""
    socket = Path((folder / "socket-folder").read_text()) / "redis.sock"
    client = redis.Redis(unix_socket_path=str(socket))
    found = [repr(client.config_get("*")).encode()]
    client.config_set("rdbcompression", "no")
    client.config_set("dir", str(folder))
    for key in client.scan_iter():
        found += [key, client.dump(key) or b""]
        if client.type(key) == b"list":
            found += client.lrange(key, 0, -1)
        elif client.type(key) == b"hash":
            found += [part for pair in client.hgetall(key).items() for part in pair]
    client.save()
    client.close()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert "dump.rdb" in {path.name for path in files}
    return b"\n".join([*found, *(path.read_bytes() for path in files)])


def children(pid: int) -> list[str]:
    return [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def command_lines(pid: int) -> bytes:
    own = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
    return own + b"".join(command_lines(int(child)) for child in children(pid))


def states(up: Up) -> list[str]:
    return sorted(one["state"] for one in up.ask("status")["studies"])


def test_nothing_of_a_patient_is_in_logs_queue_metrics_or_crashes(up: Up, tmp_path: Path) -> None:
    terminal = good_and_bad(up, tmp_path)
    up.until(lambda: len(states(up)) == 5 and not {"receiving", "queued", "analysing"} & set(states(up)))
    up.until(lambda: "not delivered" in up.said)
    ask_for_the_patient(up)
    break_the_ledger(up, tmp_path)
    up.until(lambda: len(states(up)) == 6 and not {"receiving", "queued", "analysing"} & set(states(up)))
    assert "failed" in states(up) or "not analysed" in states(up)
    assert "analysed" in states(up)

    metrics = httpx.get(f"http://127.0.0.1:{up.web}/metrics", trust_env=False).content
    kept = up.ask("status")["studies"]
    places = {
        "terminal": terminal.encode(),
        "redis": everything_of_redis(tmp_path / "var" / "redis"),
        "metrics": metrics,
        "command lines": command_lines(up.process.pid),
        "status": json.dumps(kept).encode() + up.readfirst("status", "--config", str(up.config)).stdout.encode(),
        "stories": json.dumps([up.ask("study", one["study_instance_uid"]) for one in kept]).encode(),
    }
    worker = int(children(up.process.pid)[0])
    for pid in (up.process.pid, *map(int, children(up.process.pid))):  # no core dumps
        assert re.search(r"Max core file size +0 +0 ", Path(f"/proc/{pid}/limits").read_text())
    os.kill(worker, signal.SIGABRT)
    up.until(lambda: "ended, started again" in up.said)
    up.process.send_signal(signal.SIGTERM)
    up.process.wait(60)
    places["log"] = up.said.encode()

    files = [path for path in (tmp_path / "var").rglob("*") if not path.is_socket()]
    assert [path for path in files if path.stat().st_mode & 0o077] == []
    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700

    found = {(place, value) for place, text in places.items() for value in NEEDLES if leaks(value, text)}
    assert found == set()

    # the way is right: what must be there is found in the same manner
    uid = next(one["study_instance_uid"] for one in kept)
    assert leaks(uid, places["redis"])
    assert leaks(uid, places["log"])
    assert "0xA900" in up.said
    assert "0x0124" in places["metrics"].decode()
    ledger = b"".join(path.read_bytes() for path in (tmp_path / "var").glob("ledger.sqlite*"))
    assert leaks("Geheimnisträger", ledger)
    trail = (tmp_path / "var" / "audit" / "audit.log").read_bytes()
    assert leaks(PATIENT, trail)
    assert not leaks("Geheimnisträger", b"\n".join(line for line in trail.splitlines() if b"ObjectQuery" not in line))


@pytest.mark.parametrize(
    "form",
    [
        lambda value: value.encode(),
        lambda value: value.upper().encode("latin-1"),
        lambda value: json.dumps({"name": value}).encode(),
        lambda value: quote(value).encode(),
        lambda value: base64.b64encode(json.dumps([[], {"uid": value}]).encode()),
        lambda value: b'{"body": "' + base64.b64encode(b"ab" + value.encode()) + b'"}',
        lambda value: base64.b64encode(base64.b64encode(b"x" + value.encode("latin-1"))),
        lambda value: repr(value.encode()).encode(),
        lambda value: value.encode("utf-16-le"),
        lambda value: value.encode("latin-1").hex().upper().encode(),
    ],
)
def test_the_search_finds_each_form(form: object) -> None:
    assert callable(form)
    for value in ("Geheimnisträger", PATIENT):
        assert leaks(value, b"before " + form(value) + b" after")
    assert not leaks(PATIENT, form("somebody else"))
