"""Commands start without what they do not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from node import __version__
from node.cli import SUMMARIES, app
from node.ledger.engine import open_ledger
from node.settings import Node, Settings

SLOW = {"alembic", "celery", "pynetdicom", "redis", "starlette", "torch"}
LEDGER = {"pydicom", "sqlalchemy"}
OTHERS = {"models", "workers"}


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False)


def imported(folder: Path, *words: str) -> set[str]:
    """Modules that a command has imported when it ends."""
    code = (
        f"import sys; from node.cli import main; sys.argv = ['readfirst', *{words!r}]\n"
        "try: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    return set(run(folder, "-c", code).stderr.splitlines()[-1].split())


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("worklist", "--help"), ("send", "--help")], ids=str)
def test_help_imports_nothing_that_is_slow(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert imported(tmp_path, *words) & (SLOW | LEDGER | OTHERS) == set()


def test_status_imports_what_reads_the_ledger(tmp_path: Path) -> None:
    open_ledger(Settings(node=Node(data=tmp_path / "var"))).close()
    found = imported(tmp_path, "status")
    assert "sqlalchemy" in found
    assert found & (SLOW | OTHERS) == set()


def test_send_imports_neither_ledger_nor_queue(tmp_path: Path) -> None:
    found = imported(tmp_path, "send", "nowhere", "--to", "A@127.0.0.1:104")
    assert "pynetdicom" in found
    assert found & ((SLOW | OTHERS | {"sqlalchemy"}) - {"pynetdicom"}) == set()
    done = run(tmp_path, "-m", "node", "send", "nowhere", "--to", "A@127.0.0.1:104")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "readfirst: there is no nowhere\n")


def test_the_module_is_the_command(tmp_path: Path) -> None:
    assert run(tmp_path, "-m", "node", "--version").stdout.strip() == __version__
    help_text = run(tmp_path, "-m", "node", "send", "--help").stdout
    assert "send [OPTIONS]" in help_text
    assert "AET@HOST:PORT" in help_text


@pytest.mark.parametrize(("name", "summary"), SUMMARIES.items(), ids=SUMMARIES)
def test_the_summary_of_a_command_of_another_package_is_its_own(name: str, summary: str) -> None:
    group = typer.main.get_group(app)
    context = group.make_context("readfirst", [name], resilient_parsing=True)
    _, command, _ = group.resolve_command(context, [name])
    assert " ".join(command.help.split()) == summary
