from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from node import __version__

LATER = {"alembic", "celery", "redis", "sqlalchemy", "starlette", "torch", "node.cli"}


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False)


def test_send_does_not_wait_for_what_it_does_not_need(tmp_path: Path) -> None:
    code = (
        "import sys; from node import entry; sys.argv = ['readfirst', 'send', 'nowhere', '--to', 'A@127.0.0.1:104']\n"
        f"try: entry.main()\nfinally: print(*{LATER} & set(sys.modules))"
    )
    done = run(tmp_path, "-c", code)
    assert (done.returncode, done.stdout.strip()) == (1, "")
    assert done.stderr == "readfirst: there is no nowhere\n"


def test_send_is_asked_as_one_command_of_many(tmp_path: Path) -> None:
    said = run(tmp_path, "-m", "node", "send", "--help").stdout
    assert "send [OPTIONS]" in said
    assert "AET@HOST:PORT" in said


def test_all_other_words_reach_the_whole_command(tmp_path: Path) -> None:
    assert run(tmp_path, "-m", "node", "--version").stdout.strip() == __version__
