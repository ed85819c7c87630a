"""The worker's Celery application: which tasks there are, and what it promises of messages and of time."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery
from celery.signals import worker_process_init
from kombu.exceptions import ContentDisallowed
from kombu.serialization import loads
from typer import Typer
from typer.testing import CliRunner

from node.dispatch.broker import ALONGSIDE, ANALYZE, PREDICT, TASKS, Broker, lists_of
from node.dispatch.embedded_redis import EmbeddedRedis
from node.errors import ConfigurationError
from node.ledger.engine import Ledger
from node.settings import Models, Queue, Settings
from workers.app import make_worker_app
from workers.cli import worker

QUEUES = ["analyze", "deliver"]
NOBODY = Settings(queue=Queue(url="redis+socket:///nowhere"))


@pytest.fixture(autouse=True)
def receivers() -> Iterator[None]:
    """What an application connects to Celery's signals ends with its test."""
    before = list(worker_process_init.receivers)
    yield
    worker_process_init.receivers[:] = before


def app(time_limit: float = 600.0, queues: list[str] = QUEUES) -> Celery:
    return make_worker_app(NOBODY.model_copy(update={"models": Models(time_limit=time_limit)}), queues)


def hard_limits(app: Celery) -> dict[str, float]:
    """What ends each task: its own limit, else the application's."""
    return {name: app.tasks[name].time_limit or app.conf.task_time_limit for name in TASKS}


def test_each_task_of_the_node_is_done_by_somebody() -> None:
    assert set(TASKS) <= set(app().tasks)
    for task, queue in TASKS.items():
        alone = app(queues=[queue]).tasks
        assert [name for name in TASKS if name in alone] == [task]


def test_a_task_goes_to_its_queue() -> None:
    routes = app().amqp.router
    assert {name: routes.route({}, name)["queue"].name for name in TASKS} == TASKS


def test_a_task_takes_what_the_nodes_message_says(
    ledger: Ledger, settings: Settings, redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("workers.analyze", "workers.delivery.deliver"):
        monkeypatch.setattr(f"{module}.open_ledger", lambda _settings: ledger)  # the test's own, which it closes
    made = make_worker_app(settings.model_copy(update={"queue": Queue(url=redis_server.url)}), QUEUES)
    broker = Broker(made)
    broker.analyze("1.2.3", 1)
    broker.deliver("1.2.3", "pacs")
    with redis.Redis(unix_socket_path=str(redis_server.socket)) as client:
        for name, queue in TASKS.items():
            (message,) = (one for name_ in lists_of(queue) for one in client.lrange(name_, 0, -1))
            _, names, _ = json.loads(base64.b64decode(json.loads(message)["body"]))
            made.tasks[name](**names)  # of a study that the ledger does not know: nothing to do


def test_a_worker_that_only_delivers_does_not_load_torch() -> None:
    program = (
        "import sys; from node.settings import Settings; from workers.app import make_worker_app;"
        "make_worker_app(Settings(), ['deliver']); sys.exit('torch' in sys.modules or 'highdicom' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=False).returncode == 0


def test_a_message_is_acknowledged_only_when_the_task_is_done() -> None:
    for name in TASKS:
        task = app().tasks[name]
        assert (task.acks_late, task.reject_on_worker_lost, task.ignore_result) == (True, True, True)


def test_a_prediction_is_tried_once_and_its_message_goes_to_a_queue_that_the_worker_of_analyses_hears() -> None:
    made = app()
    assert not made.tasks[PREDICT].acks_late  # a file that ends a worker ends no second one
    assert made.amqp.router.route({}, PREDICT)["queue"].name == ALONGSIDE[TASKS[ANALYZE]][PREDICT]


def test_a_worker_takes_one_message_at_a_time() -> None:
    assert app().conf.worker_prefetch_multiplier == 1


@pytest.mark.parametrize("time_limit", [10.0, 600.0, 7200.0])
def test_an_analysis_ends_at_its_limit(time_limit: float) -> None:
    assert hard_limits(app(time_limit))[ANALYZE] == time_limit


def test_a_process_may_take_minutes_to_load_its_models() -> None:
    assert app().conf.worker_proc_alive_timeout >= 300  # Celery's own 4 s end it while torch is still imported


@pytest.mark.parametrize("time_limit", [10.0, 600.0, 7200.0])
def test_before_the_hard_limit_a_task_may_still_write_down_how_it_ended(time_limit: float) -> None:
    made = app(time_limit)
    for name, limit in hard_limits(made).items():
        soft = made.tasks[name].soft_time_limit or made.conf.task_soft_time_limit
        assert 0.5 * limit < soft < limit


@pytest.mark.parametrize("time_limit", [10.0, 600.0, 7200.0])
def test_no_message_is_given_to_another_while_its_task_may_run(time_limit: float) -> None:
    made = app(time_limit)
    assert made.conf.broker_transport_options["visibility_timeout"] > max(hard_limits(made).values())


def test_messages_are_json_and_nothing_else_is_read() -> None:
    made = app()
    assert (made.conf.task_serializer, list(made.conf.accept_content)) == ("json", ["json"])
    with pytest.raises(ContentDisallowed):
        loads(b"\x80\x04N.", "application/x-python-serialize", "binary", accept=made.conf.accept_content)


@pytest.mark.parametrize(
    ("queues", "named"), [(["analyse"], "analyse"), (["analyze", "delivery"], "delivery"), ([], "")]
)
def test_a_queue_that_is_not_there_is_a_sentence(queues: list[str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"--queue {named}: there are analyze, deliver"):
        app(queues=queues)


@pytest.mark.usefixtures("own_logging")
def test_the_command_refuses_a_misspelt_queue(tmp_path: Path) -> None:
    config = tmp_path / "readfirst.toml"
    config.write_text('[queue]\nurl = "redis+socket:///nowhere"\n')
    commands = Typer()
    commands.command()(worker)
    done = CliRunner().invoke(commands, ["--queue", "delivr", "--config", str(config)])
    assert isinstance(done.exception, ConfigurationError)
    assert str(done.exception) == "--queue delivr: there are analyze, deliver"


@pytest.mark.usefixtures("own_logging")
def test_the_command_refuses_a_worker_without_a_queue(tmp_path: Path) -> None:
    config = tmp_path / "readfirst.toml"
    config.write_text("[node]\n")
    commands = Typer()
    commands.command()(worker)
    done = CliRunner().invoke(commands, ["--queue", "deliver", "--config", str(config)])
    assert isinstance(done.exception, ConfigurationError)
    assert "queue.url is empty" in str(done.exception)
