from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import models
import node
import workers
from node.dispatch.broker import ALONGSIDE, TASKS

ROOT = Path(__file__).parents[2]


def run(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_packages_are_ours_and_no_namesakes(tmp_path: Path) -> None:
    assert [Path(str(package.__file__)).parents[1] for package in (node, workers, models)] == [ROOT] * 3
    code = "import node, workers, models; print(*[p.__file__ for p in (node, workers, models)])"
    elsewhere = [Path(file).parents[1] for file in run(code, tmp_path).split()]
    assert elsewhere == [ROOT] * 3


@pytest.mark.parametrize("module", ["node.cli", "node.service", "workers.delivery.deliver", "workers.app"])
def test_these_do_without_torch(module: str, tmp_path: Path) -> None:
    code = f"import sys, {module}; print(*{{'torch', 'highdicom', 'SimpleITK', 'matplotlib'}} & set(sys.modules))"
    assert run(code, tmp_path) == ""


@pytest.mark.parametrize(("task", "queue"), TASKS.items())
def test_each_task_is_done_by_the_worker_of_its_queue(task: str, queue: str, tmp_path: Path) -> None:
    code = (
        "from node.settings import Node, Settings; from workers.app import make_worker_app; from pathlib import Path;"
        f"app = make_worker_app(Settings(node=Node(data=Path({str(tmp_path)!r}))), [{queue!r}]);"
        "print(*[name for name in app.tasks if name.startswith('readfirst.')])"
    )
    assert run(code, tmp_path).split() == [task, *ALONGSIDE.get(queue, {})]
