"""The locks: each line has a hash, and nothing is installed without one."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "deploy").glob("*.lock"))
_LINE = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^ ;]+)(?: ; (?P<marker>.+))?", re.IGNORECASE)
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def locked(lock: Path) -> dict[str, str]:
    """The versions of a lock; each line is one package of one version with hashes and nothing else."""
    text = re.sub(r"(?m)^#.*\n", "", lock.read_text(encoding="utf-8"))
    versions = {}
    for line in text.replace("\\\n", " ").splitlines():
        requirement, *hashes = re.split(r" +(?=--)", line.strip())
        assert hashes, f"{lock.name}: {requirement} has no hash"
        assert all(map(_HASH.fullmatch, hashes)), f"{lock.name}: {requirement}"
        found = _LINE.fullmatch(requirement)
        assert found, f"{lock.name}: {requirement} names no exact version"
        versions[found["name"] + (found["marker"] or "")] = found["version"]
    return versions


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_each_line_has_a_hash(lock: Path) -> None:
    assert locked(lock)


def test_a_line_without_a_hash_is_found(tmp_path: Path) -> None:
    (tmp_path / "some.lock").write_text("numpy==2.0 \\\n    --hash=sha256:" + "0" * 64 + "\nscipy==1.0\n")
    with pytest.raises(AssertionError, match="scipy==1.0 has no hash"):
        locked(tmp_path / "some.lock")


def test_torch_is_locked_in_both_builds_as_pyproject_names_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wanted,) = [one.removeprefix("torch==") for one in project["dependencies"] if one.startswith("torch==")]
    assert locked(ROOT / "deploy" / "requirements-torch-cuda.lock")["torch"] == wanted
    assert locked(ROOT / "deploy" / "requirements-torch-cpu.lock") == {"torch": f"{wanted}+cpu"}


def test_the_two_locks_agree() -> None:
    users, developers = (locked(ROOT / "deploy" / f"requirements{name}.lock") for name in ("", "-dev"))
    assert users.items() <= developers.items()


def test_the_installer_installs_nothing_without_hashes() -> None:
    text = (ROOT / "deploy" / "install").read_text(encoding="utf-8").replace("\\\n", " ")
    commands = re.findall(r"^.*\b(?:pip|uv)\b install.*$", text, re.MULTILINE)
    (ours,) = [line for line in commands if "--require-hashes" not in line]
    assert "--no-deps --no-build-isolation -e ." in ours  # ReadFirst itself, built with what the lock has


@pytest.mark.skipif(os.getuid() != 0, reason="only root installs for another user")
def test_root_is_warned_of_a_python_that_others_cannot_execute(tmp_path: Path) -> None:
    installer = (ROOT / "deploy" / "install").read_text(encoding="utf-8")
    function = re.findall(r"^warn_private\(\) \{.*?^\}$", installer, re.MULTILINE | re.DOTALL)[0]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    venv.create(closed / ".venv", symlinks=True)
    done = subprocess.run(
        ["bash", "-c", f"{function}\nwarn_private"], cwd=closed, capture_output=True, text=True, check=True
    )
    (line,) = [line for line in done.stderr.splitlines() if ".venv lies below" in line]
    assert line.startswith("install: warning: ")
    assert "a service that is not root cannot execute it; see deploy/systemd/README.md" in line
