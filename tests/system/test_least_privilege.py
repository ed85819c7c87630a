"""The node as a container or a hardened unit runs it: nobody's user, no capabilities, nothing to write but its data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import need
from tests.system.test_privacy import children
from tests.system.test_up import ROOT, SAMPLES, Up

NOBODY = "65534"
PEERS = '[peers.files]\nfolder = "{folder}"\nreceive = ["results"]\n[models]\npackages = ["chest-xray"]\n'
# The Python of this machine may lie in a home that nobody may enter: there it is shown alone, in an empty home.
SCRIPT = """
set -e
mount --make-rprivate /
mount --bind "$STATE" "$STATE"
mount -t tmpfs -o mode=1777 tmpfs "$STATE/tmp"
if [ -n "$CLOSED_HOME" ]; then
    mount --bind "$PYTHON_HOME" "$STATE/python"
    mount -t tmpfs -o mode=755 tmpfs "$CLOSED_HOME"
    mkdir -p "$PYTHON_HOME"
    mount --bind "$STATE/python" "$PYTHON_HOME"
    mount -o remount,bind,ro "$PYTHON_HOME"
    mount -o remount,bind,ro "$CLOSED_HOME" || mount -o remount,ro "$CLOSED_HOME"
fi
mount -o remount,bind,ro /
export TMPDIR="$STATE/tmp" HOME="$STATE/tmp" PYTHONDONTWRITEBYTECODE=1
cd "$STATE/tmp"
exec setpriv --reuid="$NOBODY" --regid="$NOBODY" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""


class Confined(Up):
    """`readfirst up` in namespaces of its own."""

    def __init__(self, folder: Path, toml: str) -> None:
        self.state = folder
        super().__init__(folder, toml)

    def start(self) -> None:
        command = ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", sys.executable, "-m", "node", "up"]
        python = Path(sys.base_prefix).resolve()
        closed = [path for path in python.parents if not path.stat().st_mode & 0o001]
        environment = os.environ | {
            "STATE": str(self.state), "NOBODY": NOBODY, "PYTHON_HOME": str(python), "PYTHONPATH": str(ROOT),
            "CLOSED_HOME": str(closed[-1]) if closed else "",
        }  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--config", str(self.config)], stdout=log, stderr=log, env=environment
            )
        self.until(lambda: "readfirst: ready" in self.said and "worker ready" in self.said)


@pytest.fixture
def confined() -> Iterator[Confined]:
    need("unshare", "util-linux")
    need("setpriv", "util-linux")
    if os.geteuid():
        pytest.skip("only root can make a mount namespace and become another user")
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="readfirst-confined-"))
    folder.chmod(0o711)
    for name in ("var", "files", "tmp", "python"):
        (folder / name).mkdir()
        os.chown(folder / name, int(NOBODY), int(NOBODY))
    running = Confined(folder, PEERS.format(folder=folder / "files"))
    yield running
    running.process.kill()
    running.process.wait()
    shutil.rmtree(folder)


def family(pid: int) -> list[int]:
    return [pid, *(one for child in children(pid) for one in family(int(child)))]


def test_a_study_is_analysed_and_delivered_by_nobody(confined: Confined) -> None:
    confined.push(SAMPLES / "chest-xray-normal")
    confined.until(lambda: list((confined.folder / "files").rglob("*.dcm")))
    story = confined.story("chest-xray-normal")
    assert story["state"] == "analysed"

    processes = family(confined.process.pid)
    assert len(processes) >= 4  # node, Redis, two workers and their children
    for pid in processes:
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
        )
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {NOBODY}
        assert status["NoNewPrivs"] == "1"
        assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")} == {0}
        root = next(line for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines() if line.split()[4] == "/")
        assert root.split()[5].startswith("ro")
    assert "Read-only file system" not in confined.said
    owned = {path.stat().st_uid for path in (confined.folder / "var").rglob("*")}
    assert owned == {int(NOBODY)}
    confined.end()


def test_the_units_let_the_decoding_child_confine_itself_and_outlive_its_death() -> None:
    """systemd 252 has no group for seccomp and Landlock; without them the child would keep its rights, in silence."""
    lines = (ROOT / "deploy" / "systemd" / "readfirst-.service.d" / "hardening.conf").read_text().splitlines()
    allowed = next(line for line in lines if line.startswith("SystemCallFilter=@system-service")).split()
    assert {"seccomp", "landlock_create_ruleset", "landlock_restrict_self"} <= set(allowed)
    assert "OOMPolicy=continue" in lines
