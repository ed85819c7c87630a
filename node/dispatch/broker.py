"""Notifications to the workers: one small message a job, sent by task name through Celery and Redis."""

from __future__ import annotations

from collections.abc import Mapping

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from node.dispatch.fairness import precedence
from node.entities import MEDIUM
from node.errors import QueueUnavailable

ANALYZE = "readfirst.analyze"
DELIVER = "readfirst.deliver"
PREDICT = "readfirst.predict"
TASKS = {ANALYZE: "analyze", DELIVER: "deliver"}  # task name -> queue; a worker process each
ALONGSIDE = {TASKS[ANALYZE]: {PREDICT: "predict"}}  # what the worker of a queue does, too: it has the models
_SOFT = 0.95  # of the hard limit: the time in which a task may still write down how it ended
_CONNECT_SECONDS = 2.0
_ENDED_SECONDS = 10.0  # after its soft limit a prediction's process is ended
_START_SECONDS = 600.0  # in which a worker's process has loaded its models; Celery's own 4 s would end it
_PRIORITIES = [0, 2, 3, 5, 6, 8]  # of messages, by precedence (`node.dispatch.fairness`); for Redis 0 is the first
_SEPARATOR = ":"


def lists_of(queue: str) -> tuple[str, ...]:
    """The names of the Redis lists that hold a queue's messages, by priority."""
    return queue, *(f"{queue}{_SEPARATOR}{priority}" for priority in _PRIORITIES[1:])


def make_app(url: str, time_limit: float) -> Celery:
    """The Celery application that node and workers share.

    Parameters
    ----------
    url
        Of Redis: `redis://…`, `rediss://…` or `redis+socket:///path`.
    time_limit
        Of one analysis in seconds; a message is given to another worker only well after it. The task of a delivery
        only begins it (`workers.delivery.deliver`).
    """
    app = Celery("readfirst", broker=url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        task_time_limit=time_limit,
        task_soft_time_limit=time_limit * _SOFT,
        worker_proc_alive_timeout=_START_SECONDS,
        broker_transport_options={
            "priority_steps": _PRIORITIES,
            "sep": _SEPARATOR,
            "visibility_timeout": 2 * time_limit + 60,
            "socket_connect_timeout": _CONNECT_SECONDS,
            "max_retries": 0,  # a send that fails is an error at once: the dispatcher notifies again
        },
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        task_routes={name: {"queue": queue} for name, queue in (TASKS | ALONGSIDE[TASKS[ANALYZE]]).items()},
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        enable_utc=True,
    )
    return app


class Broker:
    """Sends notifications; each is safe to send twice, for the ledger decides who does the job."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def analyze(self, study_instance_uid: str, generation: int, of: int = precedence(MEDIUM)) -> None:
        """Notify of the analysis of a study's generation; of those that wait, one of the lowest precedence is first."""
        self._send(ANALYZE, _PRIORITIES[of], study_instance_uid=study_instance_uid, generation=generation)

    def deliver(self, study_instance_uid: str, peer: str) -> None:
        """Notify of the delivery of what is due for a peer, first of all for this study."""
        self._send(DELIVER, _PRIORITIES[0], study_instance_uid=study_instance_uid, peer=peer)

    def predict(self, name: str, package: str, maps: bool, pictures: bool, seconds: float) -> None:
        """Notify of a file of the spool (`node.predicting.spool`); studies of any precedence are first.

        Whoever takes the message does so within `seconds`, else it is dropped.
        """
        names = {"name": name, "package": package, "maps": maps, "pictures": pictures}
        limits = {"expires": seconds, "soft_time_limit": seconds, "time_limit": seconds + _ENDED_SECONDS}
        self._send(PREDICT, _PRIORITIES[-1], limits, **names)

    def waiting(self, task: str) -> int:
        """Number of messages in the task's queue that no worker has taken.

        Raises
        ------
        QueueUnavailable
        """
        try:
            with self._app.connection_for_write() as connection:
                client = connection.default_channel.client
                return sum(int(client.llen(name)) for name in lists_of(TASKS[task]))
        except (OperationalError, RedisError, OSError) as error:
            raise QueueUnavailable(f"Redis cannot be reached: {error}") from error

    def _send(self, task: str, priority: int, options: Mapping[str, float] | None = None, **names: object) -> None:
        try:
            self._app.send_task(task, kwargs=names, retry=False, priority=priority, **(options or {}))
        except (OperationalError, RedisError, OSError) as error:
            raise QueueUnavailable(f"Redis cannot be reached: {error}") from error
