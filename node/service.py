"""The running node, put together: SCP, dispatcher, web server, sinks; for `readfirst up` Redis and workers, too."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack, closing
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from types import FrameType

import structlog
from starlette.requests import Request

from node import audit, commitment, dicomweb, scp, web
from node.admin.metrics import Metrics
from node.admission.associations import AssociationRegistry, StoreResult
from node.admission.policy import Caller
from node.data_folder import held
from node.dicomweb.workitems import WorklistService
from node.dispatch.broker import TASKS, Broker, make_app
from node.dispatch.dispatcher import Dispatcher
from node.dispatch.embedded_redis import EmbeddedRedis, embedded_redis
from node.dispatch.work_item import write_reading_work_item
from node.errors import ConfigurationError
from node.ledger.engine import open_ledger
from node.loops import running
from node.predicting.predictions import Predictions
from node.privacy import close_to_others
from node.processes import Supervised, workers
from node.receiving.c_store import NOT_AUTHORIZED, Receiver
from node.receiving.store import Store
from node.reports.store import report_store
from node.retention.retention import Retention
from node.scp import station
from node.settings import Settings
from node.worklist.orders.listener import listening
from node.worklist.sinks import make_sinks
from node.worklist.sinks.sender import sending
from node.worklist.ups.event_sender import EventSender

_log = structlog.get_logger(__name__)


def run_node(settings: Settings, config: Path | None, *, with_workers: bool) -> None:
    """Run until SIGTERM or SIGINT. Prints `readfirst: ready` when associations are accepted.

    Parameters
    ----------
    config
        The configuration file, handed to the workers.
    with_workers
        `readfirst up`: embedded Redis unless `queue.url` names one, and one worker process a queue.

    Raises
    ------
    ConfigurationError
        Something that is needed cannot be used; nothing keeps running.
    """
    if with_workers:
        for entry in entry_points(group="readfirst.preflight"):
            entry.load()(settings)
    sinks = make_sinks(settings, lambda *query: recorder.asked(*query))  # noqa: PLW0108  # made below
    close_to_others(settings.node.data)
    stop = _stop_signal()
    with ExitStack() as stack:
        stack.enter_context(held(settings.node.data))
        ledger = stack.enter_context(closing(open_ledger(settings)))
        redis = _redis(settings, stack, with_workers=with_workers)
        url = redis.url if redis else settings.queue.url
        store = Store(settings.node.data, settings.node.min_free_mb << 20)
        store.prepare()
        broker = Broker(make_app(url, settings.models.time_limit))
        recorder = stack.enter_context(audit.recording(settings, ledger, audit.make_sinks(settings)))
        associations = AssociationRegistry(settings)
        metrics = Metrics(settings, ledger, broker.waiting)
        metrics.watch(associations)
        work_item = partial(write_reading_work_item, settings.node.data, station(settings))
        dispatcher = Dispatcher(settings, ledger, broker, work_item, audit=recorder, associations=associations)
        supervised: list[Supervised] = [redis] if redis else []
        if with_workers:
            supervised += stack.enter_context(workers(sorted(set(TASKS.values())), config, url))
        stack.enter_context(running("dispatcher", dispatcher))
        stack.enter_context(running("events", EventSender(settings, ledger)))
        key = web.read_key(settings.node.data)
        predictions = Predictions(settings, broker.predict)
        predictions.spool.prepare()
        pages = web.PageContext(
            settings, ledger, key, broker.waiting, config, url, predictions=predictions, audit=recorder, metrics=metrics
        )
        worklist = WorklistService(
            ledger,
            station(settings),
            settings.worklist.deletion_locks,
            on_query=partial(_searched, recorder),
            acts_for=web.acts_for,
            most_items=settings.limits.work_items_per_peer,
        )
        stack.enter_context(web.serving(settings.web, web.make_app(pages, dicomweb.routes(worklist))))
        stack.enter_context(sending(sinks, ledger))
        stack.enter_context(listening(settings.worklist.orders, ledger, settings.node.tls, report_store(settings)))
        stack.enter_context(commitment.committing(settings, ledger))
        stack.enter_context(running("retention", Retention(settings, ledger, recorder, metrics.deleted)))
        associations.subscribe(stored=partial(_stored, recorder), ended=recorder.received)
        server = scp.start(Receiver(settings, ledger, store, associations), recorder)
        stack.callback(server.shutdown)
        _announce(settings)
        while not stop.wait(0.5):
            for process in supervised:
                process.restart_if_ended()
    print("readfirst: ended", flush=True)  # noqa: T201


def _stop_signal() -> threading.Event:
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return stop


def _redis(settings: Settings, stack: ExitStack, *, with_workers: bool) -> EmbeddedRedis | None:
    if settings.queue.url:
        return None
    if not with_workers:
        raise ConfigurationError(
            "queue.url is empty, and the embedded Redis belongs to `readfirst up`: "
            "name a Redis server there to run node and workers apart"
        )
    return stack.enter_context(embedded_redis(settings.node.data / "redis"))


def _announce(settings: Settings) -> None:
    node = settings.node
    if node.accept_unknown:
        _log.warning("node.accept_unknown is true: every AE title may send images")
    elif not settings.peers:
        _log.warning("no [peers.…] table: nobody may associate; name your PACS in readfirst.toml")
    if not settings.receivers:
        _log.warning("no peer has receive = ['results']: results stay in the data folder", data=str(node.data))
    for warning in settings.web.warnings:
        _log.warning(warning)
    _log.info("listening", ae_title=node.ae_title, host=node.host, port=node.port)
    print("readfirst: ready", flush=True)  # noqa: T201


def _stored(recorder: audit.Recorder, caller: Caller, result: StoreResult) -> None:
    if result.status == NOT_AUTHORIZED:
        recorder.forbidden(caller, "it pushed an instance, and may not")


def _searched(recorder: audit.Recorder, request: Request) -> None:
    address = request.client.host if request.client else ""
    recorder.searched(address, request.url.path, request.url.query)
