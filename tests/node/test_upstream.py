"""The patches that deploy/upstream offers fit the releases that they name, which are the ones that we run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pynetdicom
import pytest

PATCHES = sorted((Path(__file__).parents[2] / "deploy" / "upstream").glob("*.patch"))


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_patch_applies_to_the_release_that_it_names_and_what_it_makes_can_be_imported(
    tmp_path: Path, patch: Path
) -> None:
    assert patch.name.startswith(f"pynetdicom-{pynetdicom.__version__}-")
    ignore = shutil.ignore_patterns("tests", "apps", "__pycache__")
    shutil.copytree(Path(pynetdicom.__file__).parent, tmp_path / "pynetdicom", ignore=ignore)
    subprocess.run(
        ["git", "apply", "-p1", patch], cwd=tmp_path, check=True, env={"GIT_DIR": "/dev/null", "PATH": "/bin:/usr/bin"}
    )
    said = "import pynetdicom.transport; print(pynetdicom.transport.__file__)"
    done = subprocess.run([sys.executable, "-c", said], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == str(tmp_path / "pynetdicom" / "transport.py")
