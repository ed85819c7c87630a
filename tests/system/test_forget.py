"""A patient is forgotten beside a running node: no byte of him is left outside the audit trail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.needles import leaks
from tests.system.test_privacy import ACCESSION, PATIENT, everything_of_redis, push, states, study
from tests.system.test_up import Up

TABLES = """
[peers.files]
folder = "{folder}"
receive = ["results"]
[models]
packages = ["chest-xray"]
[results]
fallback = false
"""
NEEDLES = ("Geheimnisträger", "Änneliese", PATIENT, ACCESSION)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path, TABLES.format(folder=tmp_path / "files"))
    yield running
    running.process.kill()
    running.process.wait()


def test_no_byte_of_a_forgotten_patient_is_left_outside_the_audit_trail(up: Up, tmp_path: Path) -> None:
    push(up, study(tmp_path / "his"))
    push(up, study(tmp_path / "other", PatientID="STAYS-1", PatientName="Stays^Here", AccessionNumber="STAYS2"))
    up.until(lambda: states(up) == ["analysed"] * 2 and not up.ask("status")["undelivered"])
    data, config = tmp_path / "var", ("--config", str(up.config))
    assert leaks(PATIENT, _bytes(data))

    done = up.readfirst("forget", "--patient", PATIENT, *config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "forgotten: 1 study" in done.stdout
    assert states(up) == ["analysed"]
    everything = _bytes(data) + everything_of_redis(data / "redis") + up.said.encode() + done.stdout.encode()
    assert [needle for needle in NEEDLES if leaks(needle, everything)] == []
    assert leaks("STAYS-1", everything)
    trail = (data / "audit" / "audit.log").read_text()
    assert "110105" in trail
    assert leaks(PATIENT, trail.encode())
    up.end()
    assert [needle for needle in NEEDLES if leaks(needle, _bytes(data))] == []


def _bytes(data: Path) -> bytes:
    """All files below the data folder, but for the audit trail."""
    files = [path for path in data.rglob("*") if path.is_file() and (data / "audit") not in path.parents]
    return b"\n".join(path.read_bytes() for path in files)
