"""The running node: SCP, rounds, and for `readfirst up` the embedded Redis and the workers beside them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from types import FrameType

import structlog
from pydicom import Dataset
from sqlalchemy import Connection, RowMapping
from starlette.requests import Request

from node import audit, commitment, dicomweb, scp, web
from node.admin.metrics import Metrics
from node.admission.associations import AssociationRegistry, StoreResult
from node.admission.policy import Caller
from node.dicom.headers import read_header
from node.dicomweb.workitems import Desk
from node.dispatch.broker import TASKS, Broker, make_app
from node.dispatch.dispatcher import Rounds
from node.dispatch.embedded_redis import EmbeddedRedis, embedded_redis
from node.errors import ConfigurationError, UnreadableInstance
from node.ledger import studies
from node.ledger.engine import Ledger, open_ledger
from node.privacy import close_to_others
from node.processes import die_with_parent
from node.receiving.c_store import NOT_AUTHORIZED, Receiver
from node.receiving.store import Store
from node.scp import station
from node.settings import Settings
from node.worklist.orders import orders
from node.worklist.orders.listener import listening
from node.worklist.reading import work_items
from node.worklist.sinks import make_sinks
from node.worklist.sinks.courier import couriers
from node.worklist.ups.event_sender import Notifier

_log = structlog.get_logger(__name__)
_END_SECONDS = 30.0
_RESTART_PAUSE = 2.0


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
    make_sinks(settings)  # what is wrong with one stops the start
    close_to_others(settings.node.data)
    stop = _stop_signal()
    with ExitStack() as stack:
        ledger = open_ledger(settings)
        stack.callback(ledger.close)
        redis = _redis(settings, stack, with_workers=with_workers)
        url = redis.url if redis else settings.queue.url
        store = Store(settings.node.data, settings.node.min_free_mb << 20)
        store.prepare()
        broker = Broker(make_app(url, settings.models.time_limit))
        recorder = stack.enter_context(audit.recording(settings, ledger, audit.make_sinks(settings)))
        associations = AssociationRegistry(settings)
        metrics = Metrics(settings, ledger, broker.waiting)
        metrics.watch(associations)
        rounds = Rounds(
            settings,
            ledger,
            broker,
            lambda row: _work_item(settings, ledger, row),
            audit=recorder,
            associations=associations,
        )
        workers = stack.enter_context(_workers(config, url)) if with_workers else []
        notifier = Notifier(settings, ledger)
        stack.enter_context(_thread("rounds", rounds.run, rounds.stop))
        stack.enter_context(_thread("events", notifier.run, notifier.stop))
        key = web.read_key(settings.node.data)
        desk = web.Desk(settings, ledger, key, broker.waiting, config, url, audit=recorder, metrics=metrics)
        asked = partial(_searched, recorder)
        workitems = dicomweb.routes(Desk(ledger, station(settings), settings.worklist.deletion_locks, asked=asked))
        stack.enter_context(web.serving(settings.web, web.make_app(desk, workitems)))
        stack.enter_context(couriers(make_sinks(settings, recorder.asked), ledger))
        stack.enter_context(listening(settings.worklist.orders, ledger))
        stack.enter_context(commitment.keeping_promises(settings, ledger))
        associations.subscribe(stored=partial(_stored, recorder), ended=recorder.received)
        server = scp.start(Receiver(settings, ledger, store, associations), recorder)
        stack.callback(server.shutdown)
        _announce(settings)
        while not stop.wait(0.5):
            _keep_alive(workers, redis, stop)
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


def _work_item(settings: Settings, ledger: Ledger, row: RowMapping) -> Callable[[Connection], None]:
    """One reading work item for the study, from the first header that can be read."""
    uid, now = row["study_instance_uid"], time.time()
    header = Dataset()
    header.StudyInstanceUID = uid
    with ledger.read() as reading:
        instances = studies.inputs(reading, uid)
    for instance in instances:
        try:
            header = read_header(settings.node.data / instance["path"])
        except UnreadableInstance as error:  # the analysis says so, too
            _log.warning("instance unreadable", study=uid, instance=instance["sop_instance_uid"], reason=str(error))
        else:
            break

    def write(connection: Connection) -> None:
        work_items.ensure_item(connection, header, now, station(settings))
        orders.apply(connection, uid, now)
        work_items.set_ready(connection, uid, now)

    return write


@contextmanager
def _thread(name: str, run: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join()


class _Worker:
    """One worker process for one queue, started again when it ends by itself."""

    def __init__(self, queue: str, config: Path | None, url: str) -> None:
        self.queue = queue
        options = ["--config", str(config)] if config else []
        self._command = [sys.executable, "-m", "node", "worker", "--queue", queue, *options]
        self._environment = os.environ | {"READFIRST_QUEUE__URL": url}
        self._started = 0.0
        self.start()

    def start(self) -> None:
        self._started = time.monotonic()
        self.process = subprocess.Popen(
            self._command,
            env=self._environment,
            preexec_fn=die_with_parent,  # noqa: PLW1509
            start_new_session=True,  # Ctrl-C is for us: we end them when what they do is written down
        )

    def restart_if_ended(self) -> None:
        if self.process.poll() is not None and time.monotonic() - self._started > _RESTART_PAUSE:
            _log.error("worker ended, started again", queue=self.queue, exit_code=self.process.returncode)
            self.start()

    def stop(self) -> None:
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def _workers(config: Path | None, url: str) -> Iterator[list[_Worker]]:
    workers = [_Worker(queue, config, url) for queue in sorted(set(TASKS.values()))]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.stop()


def _keep_alive(workers: list[_Worker], redis: EmbeddedRedis | None, stop: threading.Event) -> None:
    if stop.is_set():
        return
    if redis and redis.process and redis.process.poll() is not None:
        _log.error("the embedded Redis ended, started again", exit_code=redis.process.returncode)
        try:
            redis.start()
        except (ConfigurationError, OSError) as error:  # the disk is full: nothing is lost, it is tried again
            _log.error("the embedded Redis cannot be started again yet", reason=str(error))
    for worker in workers:
        worker.restart_if_ended()
