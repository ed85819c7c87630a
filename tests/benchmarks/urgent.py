"""`python -m tests.benchmarks.urgent`: routine studies that wait, and one that is urgent: when does a worker get it?

A real ledger, a real Redis, the node's own dispatcher in its thread; a worker that is free asks its queue all the time.
`receiving`: all studies are complete at once, as after a start or when a PACS was quiet. `queued`: they wait already.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from node import logs
from node.dispatch.broker import TASKS, Broker, make_app
from node.dispatch.dispatcher import Dispatcher
from node.dispatch.embedded_redis import embedded_redis
from node.dispatch.work_item import write_reading_work_item
from node.entities import HIGH, AnalysisReport, StudyState
from node.ledger import studies
from node.ledger.engine import Ledger, sqlite_url
from node.loops import running
from node.receiving.instances import record_instance
from node.settings import Node, Settings
from node.worklist.reading.data_set import Station, header_values
from tests.node.phantoms import image, stored

URGENT = "1.2.9999999"


def main() -> None:
    """Print the seconds for both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=5000)
    number = parser.parse_args().studies
    logs.configure()
    for waiting in ("receiving", "queued"):
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            _measure(Path(folder), stack, number, waiting)


def _measure(folder: Path, stack: ExitStack, number: int, waiting: str) -> None:
    settings = Settings(node=Node(data=folder, quiet_seconds=0.1))
    ledger = Ledger(sqlite_url(folder))
    ledger.migrate()
    stack.callback(ledger.close)
    server = stack.enter_context(embedded_redis(folder / "redis"))
    app = make_app(server.url, 60.0)
    on_complete = partial(write_reading_work_item, folder, Station())
    dispatcher = Dispatcher(settings, ledger, Broker(app), on_complete)
    received = time.time() - 3600
    _receive(ledger, [f"1.2.{one}" for one in range(number)], received)
    if waiting == "queued":
        with ledger.write() as connection:
            for row in studies.receiving(connection):
                studies.complete(connection, row, "quiet", received)
                on_complete(connection, row["study_instance_uid"], received)
    with (
        running("dispatcher", dispatcher),
        app.connection_for_read() as connection,
        connection.SimpleQueue(TASKS["readfirst.analyze"]) as queue,
    ):
        threading.Timer(1.0, lambda: _receive(ledger, [URGENT], time.time() - 3600, HIGH)).start()
        begun, sent, done = time.monotonic(), time.monotonic() + 1.0, 0
        while True:
            message = queue.get(timeout=60)
            uid, generation = (message.payload[1][key] for key in ("study_instance_uid", "generation"))
            message.ack()
            if uid == URGENT:
                break
            with ledger.write() as transaction:
                if studies.claim(transaction, uid, generation, time.time(), 20.0):
                    report = AnalysisReport(StudyState.ANALYSED)
                    studies.finish(transaction, uid, generation, report, time.time())
                    done += 1
        seconds = time.monotonic() - sent
    print(
        f"{number} studies {waiting}: the urgent one after {seconds:.2f} s, {done} others before it "
        f"({done / (time.monotonic() - begun):.0f} a second)",
        flush=True,
    )


def _receive(ledger: Ledger, uids: list[str], now: float, rank: int = 1) -> None:
    values = header_values(image())
    with ledger.write() as connection:
        for uid in uids:
            record_instance(connection, stored(f"{uid}.1", study_instance_uid=uid), f"SENDER{len(uid)}", now, rank)
            studies.set_header(connection, uid, values)


if __name__ == "__main__":
    main()
