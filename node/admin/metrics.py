"""Numbers for Prometheus: counts, sizes and times; labels are states, statuses and names of `[peers.…]` tables."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import ColumnElement, Connection, func, select

from node import audit
from node.admission.associations import AssociationRegistry, StoreResult
from node.admission.policy import Caller
from node.dispatch.broker import TASKS
from node.entities import JobState, Part
from node.errors import QueueUnavailable
from node.ledger import workers
from node.ledger.engine import Ledger
from node.ledger.tables import INSTANCE, STUDY
from node.ledger.workers import Readiness
from node.retention.deleting import Deleted
from node.sending import circuits
from node.sending.deliveries import DELIVERY
from node.settings import Settings

_UNKNOWN = "unknown"  # label of AE titles that no table names: the number of time series stays bounded
_SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400)


class Metrics:
    """The node's metrics; safe to use from many threads.

    Parameters
    ----------
    waiting
        Number of messages in the queue of a task (`node.dispatch.broker`).
    clock
        Seconds since 1970 UTC.
    """

    def __init__(
        self, settings: Settings, ledger: Ledger, waiting: Callable[[str], int], clock: Callable[[], float] = time.time
    ) -> None:
        self._names = {peer.ae_title: name for name, peer in settings.peers.items() if not peer.folder}
        self._ledger, self._lock, self._until = ledger, threading.Lock(), clock()
        self.registry = registry = CollectorRegistry()
        answered = "C-STORE requests by peer and status"
        self._answers = Counter("readfirst_instances", answered, ("peer", "status"), registry=registry)
        self._bytes = Counter(
            "readfirst_received_bytes", "Bytes of Data Sets kept, by peer", ("peer",), registry=registry
        )
        self._rejected = Counter("readfirst_associations_rejected", "Associations not accepted", registry=registry)
        self._open = Gauge("readfirst_associations_open", "Associations that are open", registry=registry)
        self._delivered = Histogram(
            "readfirst_delivery_seconds", "From the study's last instance received to an object delivered",
            ("peer",), buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._removed = Counter(
            "readfirst_deleted_bytes", "Bytes that retention deleted, by part", ("part",), registry=registry
        )
        self._ended = Counter(
            "readfirst_deleted_studies", "Studies of which retention deleted a part, by part", ("part",),
            registry=registry,
        )  # fmt: skip
        for part in Part:
            self._removed.labels(part.value)
            self._ended.labels(part.value)
        registry.register(_States(settings, ledger, waiting))

    def watch(self, associations: AssociationRegistry) -> None:
        """Count the associations of a registry, those that were rejected, and C-STORE requests."""
        self._open.set_function(lambda: associations.count)
        associations.subscribe(stored=self.stored, rejected=lambda *_: self._rejected.inc())

    def stored(self, caller: Caller, result: StoreResult) -> None:
        """A C-STORE request was answered."""
        peer = self._names.get(caller.ae_title, _UNKNOWN)
        self._answers.labels(peer, f"0x{result.status:04X}").inc()
        if result.status == 0:
            self._bytes.labels(peer).inc(result.size)

    def deleted(self, step: Deleted) -> None:
        """A part of a study was deleted, or some of it."""
        self._removed.labels(step.part.value).inc(step.size)
        if step.study_done:
            self._ended.labels(step.part.value).inc()

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        with self._lock:
            self._observe_deliveries()
        return generate_latest(self.registry)

    def _observe_deliveries(self) -> None:
        """Observe what workers, in other processes, have delivered since the last time, from the ledger."""
        of_study = select(func.max(INSTANCE.c.received_at)).where(
            INSTANCE.c.study_instance_uid == DELIVERY.c.study_instance_uid,
            INSTANCE.c.received_at <= DELIVERY.c.delivered_at,
        )
        query = select(DELIVERY.c.peer, DELIVERY.c.delivered_at, of_study.scalar_subquery().label("received_at"))
        with self._ledger.read() as connection:
            rows = connection.execute(query.where(DELIVERY.c.delivered_at > self._until)).all()
        for row in rows:
            self._until = max(self._until, row.delivered_at)
            if row.received_at is not None:
                self._delivered.labels(row.peer).observe(row.delivered_at - row.received_at)


class _States(Collector):
    """Gauges of the ledger, the queue and the disk, read when the metrics are."""

    def __init__(self, settings: Settings, ledger: Ledger, waiting: Callable[[str], int]) -> None:
        self._data, self._ledger, self._waiting = settings.node.data, ledger, waiting
        self._sinks, self._receiver_names = settings.audit.sinks, tuple(settings.receivers)

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing is read when the collector is registered."""
        return ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Read them now."""
        with self._ledger.read() as connection:
            yield _counted(connection, STUDY.c.state, "readfirst_studies", "Studies by state")
            outbox = "Objects in the outbox by state"
            yield _counted(connection, DELIVERY.c.state, "readfirst_outbox", outbox, *JobState)
            spool = GaugeMetricFamily("readfirst_audit_waiting", "Audit messages that wait, by sink", labels=("sink",))
            waiting = dict.fromkeys(self._sinks, 0) | audit.waiting(connection)
            for sink, count in waiting.items():
                spool.add_metric((sink,), count)
            yield spool
            yield _workers(connection)
            yield self._receivers(connection)
        yield self._queues()
        free = shutil.disk_usage(self._data).free
        yield GaugeMetricFamily("readfirst_disk_free_bytes", "Free space below node.data", value=free)

    def _receivers(self, connection: Connection) -> GaugeMetricFamily:
        failing = {row["lane"] for row in circuits.open_circuits(connection)}
        description = "Receivers that failed again and again and are only probed: 1"
        family = GaugeMetricFamily("readfirst_receiver_failing", description, labels=("peer",))
        for peer in self._receiver_names:
            family.add_metric((peer,), peer in failing)
        return family

    def _queues(self) -> GaugeMetricFamily:
        queues = GaugeMetricFamily("readfirst_queue", "Messages that no worker has taken, by queue", labels=("queue",))
        for task, name in TASKS.items():
            try:
                queues.add_metric((name,), self._waiting(task))
            except QueueUnavailable:
                queues.add_metric((name,), float("nan"))
        return queues


def _workers(connection: Connection) -> GaugeMetricFamily:
    family = GaugeMetricFamily("readfirst_workers", "Processes that analyse, by readiness", labels=("readiness",))
    found = Tally(one.readiness for one in workers.states(connection, time.time()))
    for readiness in Readiness:
        family.add_metric((readiness,), found[readiness])
    return family


def _counted(
    connection: Connection, column: ColumnElement[str], name: str, description: str, *always: str
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, description, labels=("state",))
    query = select(column.label("state"), func.count().label("rows")).group_by(column)
    found = {str(row.state): int(row.rows) for row in connection.execute(query)}
    for state, count in (dict.fromkeys(map(str, always), 0) | found).items():
        family.add_metric((state,), count)
    return family
