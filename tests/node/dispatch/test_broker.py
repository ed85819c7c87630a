from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from node.dispatch.broker import ANALYZE, DELIVER, TASKS, Broker, lists_of, make_app
from node.dispatch.embedded_redis import EmbeddedRedis, embedded_redis
from node.dispatch.fairness import precedence
from node.entities import HIGH, LOW, MEDIUM
from node.errors import QueueUnavailable


@pytest.fixture
def broker(redis_server: EmbeddedRedis) -> Broker:
    return Broker(make_app(redis_server.url, 60.0))


def messages(server: EmbeddedRedis, task: str) -> list[dict[str, object]]:
    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        names = lists_of(TASKS[task])
        return [json.loads(message) for name in names for message in client.lrange(name, 0, -1)]


def test_waiting_counts_each_queue(broker: Broker) -> None:
    assert [broker.waiting(task) for task in TASKS] == [0, 0]
    broker.analyze("1.2", 1)
    broker.analyze("1.2", 2)
    broker.deliver("1.2", "pacs")
    assert [broker.waiting(ANALYZE), broker.waiting(DELIVER)] == [2, 1]


def test_a_message_is_a_task_name_and_names(broker: Broker, redis_server: EmbeddedRedis) -> None:
    broker.analyze("1.2", 3)
    (message,) = messages(redis_server, ANALYZE)
    assert message["headers"]["task"] == "readfirst.analyze"
    assert message["headers"]["kwargsrepr"] == "{'study_instance_uid': '1.2', 'generation': 3}"
    assert message["content-type"] == "application/json"


def test_the_urgent_message_is_taken_first(broker: Broker, redis_server: EmbeddedRedis) -> None:
    """By Celery's own consumer, on a real Redis."""
    for number, rank in enumerate((LOW, MEDIUM, HIGH, MEDIUM, HIGH)):
        broker.analyze(f"1.{number}", 1, precedence(rank))
    assert broker.waiting(ANALYZE) == 5
    app, taken = make_app(redis_server.url, 60.0), list[str]()
    with app.connection_for_read() as connection, connection.SimpleQueue("analyze") as queue:
        for _ in range(5):
            message = queue.get(timeout=10)
            taken.append(message.payload[1]["study_instance_uid"])
            message.ack()
    assert taken == ["1.2", "1.4", "1.1", "1.3", "1.0"]


def test_a_message_survives_a_restart(broker: Broker, redis_server: EmbeddedRedis) -> None:
    broker.deliver("1.2", "pacs")
    assert redis_server.process is not None
    redis_server.process.terminate()
    redis_server.process.wait(10)
    redis_server.start()
    assert Broker(make_app(redis_server.url, 60.0)).waiting(DELIVER) == 1


@pytest.mark.parametrize(
    "ask",
    [lambda broker: broker.analyze("1.2", 1), lambda broker: broker.waiting(ANALYZE)],
    ids=["send", "waiting"],
)
@pytest.mark.parametrize("used_before", [False, True])
def test_a_queue_that_is_gone_is_said(tmp_path: Path, ask: Callable[[Broker], object], used_before: bool) -> None:
    with embedded_redis(tmp_path) as server:
        broker = Broker(make_app(server.url, 60.0))
        if used_before:
            broker.analyze("1.2", 1)
    with pytest.raises(QueueUnavailable, match="Redis cannot be reached"):
        ask(broker)
    assert not server.socket.exists()


def test_a_file_that_redis_cannot_read_is_let_go(tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as server:
        Broker(make_app(server.url, 60.0)).deliver("1.2", "pacs")
    files = [path for path in tmp_path.rglob("*.aof*") if path.stat().st_size]
    assert files
    for path in files:
        path.write_bytes(b"nonsense\r\n" * 9 + path.read_bytes())
    with embedded_redis(tmp_path) as server:
        assert Broker(make_app(server.url, 60.0)).waiting(DELIVER) == 0
