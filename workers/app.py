"""The Celery worker: which task is done by what."""

from __future__ import annotations

from collections.abc import Callable, Collection

from celery import Celery
from celery.signals import task_failure, worker_process_init, worker_process_shutdown

from node.dispatch.broker import ANALYZE, DELIVER, PREDICT, TASKS, make_app
from node.errors import ConfigurationError
from node.settings import Settings
from workers.delivery.deliver import Deliverer
from workers.time_limit import on_task_failure


def make_worker_app(settings: Settings, queues: Collection[str]) -> Celery:
    """The application with the tasks of the given queues; torch is imported only for `analyze`.

    Raises
    ------
    ConfigurationError
        There is no such queue.
    """
    unknown = set(queues) - set(TASKS.values())
    if unknown or not queues:
        raise ConfigurationError(f"--queue {','.join(sorted(unknown))}: there are {', '.join(sorted(TASKS.values()))}")
    app = make_app(settings.queue.url, settings.models.time_limit)
    if TASKS[DELIVER] in queues:
        deliverer = Deliverer(settings)
        app.task(name=DELIVER, shared=False)(_as_function(deliverer.notify))
        worker_process_shutdown.connect(lambda **_: deliverer.close(), weak=False)
    if TASKS[ANALYZE] in queues:
        from workers.analyze import Analyzer  # noqa: PLC0415  # torch: not in a container that only delivers

        analyzer = Analyzer(settings)
        app.task(name=ANALYZE, shared=False)(_as_function(analyzer.run))
        app.task(name=PREDICT, shared=False, acks_late=False)(_as_function(analyzer.predict))  # tried once, never again
        worker_process_init.connect(lambda **_: analyzer.warm(), weak=False)
        task_failure.connect(
            lambda sender, exception, kwargs, **_: on_task_failure(settings, sender.name, exception, kwargs), weak=False
        )
        worker_process_shutdown.connect(lambda **_: analyzer.close(), weak=False)
    return app


def _as_function(method: Callable[..., None]) -> Callable[..., None]:
    """Celery names and inspects a task by its function's attributes, which bound methods do not let it set."""

    def task(**names: object) -> None:
        method(**names)

    return task
