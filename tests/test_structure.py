"""What `python -m tests.structure` counts stays so: no circle, one durable queue, private parts in one folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.structure import counts

ROOT = Path(__file__).parents[1]


def test_no_folders_or_files_import_each_other_in_a_circle() -> None:
    assert counts.cycles(ROOT) == []


def test_a_circle_is_found(tmp_path: Path) -> None:
    for name, text in {"node/a/x.py": "from node.b import y", "node/b/y.py": "import node.a.x"}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        (path.parent / "__init__.py").touch()
    assert counts.cycles(tmp_path) == [("node.a", "node.b")]


def test_there_is_one_durable_queue() -> None:
    assert counts.queues(ROOT) == ["job"]


def test_private_parts_of_pynetdicom_are_used_in_one_folder() -> None:
    assert set(counts.private(ROOT)) == {"node/upperlayer"}


def test_the_command_runs_as_the_papers_write_it() -> None:
    command = [sys.executable, "-m", "tests.structure", "--static"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "| durable queues | 1 (job) |" in done.stdout
