"""What stops a start, and what it warns of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ports import free_port
from structlog.testing import capture_logs

from node import service
from node.settings import Settings, Web
from tests.node.conftest import House

ROOT = Path(__file__).parents[2]


def up(config: Path, toml: str) -> subprocess.CompletedProcess[str]:
    config.write_text(f"{toml}[web]\nport = 0\n")
    command = [sys.executable, "-m", "node", "up", "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)


def test_a_model_that_is_not_there_stops_the_start_and_is_named(tmp_path: Path) -> None:
    toml = f'[node]\nport = {free_port()}\ndata = "{tmp_path / "var"}"\n[models]\npackages = ["nope"]\n'
    done = up(tmp_path / "readfirst.toml", toml)
    assert (done.returncode, done.stdout) == (1, "")
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("readfirst: models.packages: ")
    assert "'nope'" in sentence
    assert "chest-xray" in sentence  # what there is
    assert not (tmp_path / "var").exists()


def test_an_address_in_use_stops_the_start_and_leaves_nothing_running(house: House, tmp_path: Path) -> None:
    _, port = house.address
    done = up(tmp_path / "readfirst.toml", f'[node]\nport = {port}\ndata = "{tmp_path / "other"}"\n')
    assert done.returncode == 1
    assert "ready" not in done.stdout
    assert f"readfirst: node.host and node.port: 127.0.0.1:{port} cannot be listened on" in done.stderr


def test_a_page_that_others_can_read_along_is_warned_of_at_the_start(settings: Settings) -> None:
    with capture_logs() as logs:
        service._announce(settings.model_copy(update={"web": Web(host="0.0.0.0", token="a token of many letters")}))
    assert [line["log_level"] for line in logs if "without TLS" in line["event"]] == ["warning"]
