"""An analysis that neither the soft limit nor a lease ends, in a real worker of Celery."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select

from node.dispatch.broker import Broker, make_app
from node.dispatch.embedded_redis import embedded_redis
from node.entities import StudyState
from node.ledger import jobs, studies
from node.ledger.engine import open_ledger
from node.ledger.tables import JOB, STUDY
from node.receiving.instances import record_instance
from node.settings import Models, Node, Queue, Settings
from node.worklist.reading import work_items
from tests.node.phantoms import STUDY as UID
from tests.node.phantoms import image, stored
from tests.waiting import wait_until

LIMIT = 10.0  # the least that may be set; the worker of the test has two seconds
WORKER = """
import signal, sys, time
from pathlib import Path
import workers.analyze
from node.ledger import studies
from node.settings import load
from workers.app import make_worker_app

def run(self, study_instance_uid, generation):
    with self.ledger.write() as connection:
        studies.claim(connection, study_instance_uid, generation, time.time(), 20.0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # as within a library, which no signal interrupts
    while True:
        time.sleep(60)

workers.analyze.Analyzer.run = run
workers.analyze.Analyzer.warm = lambda self: None
app = make_worker_app(load(Path(sys.argv[1])), ["analyze"])
task = app.tasks["readfirst.analyze"]
task.soft_time_limit, task.time_limit = 1.0, 2.0
app.worker_main(["--quiet", "worker", "--queues", "analyze", "--concurrency", "1", "--loglevel", "CRITICAL",
                 "--without-gossip", "--without-mingle", "--without-heartbeat"])
"""


def test_a_study_that_hits_the_hard_limit_fails_once_and_for_good(tmp_path: Path) -> None:
    with embedded_redis(tmp_path / "redis") as server:
        config = tmp_path / "readfirst.toml"
        config.write_text(
            f'[node]\ndata = "{tmp_path}"\n[queue]\nurl = "{server.url}"\n[models]\ntime_limit = {LIMIT}\n'
        )
        settings = Settings(node=Node(data=tmp_path), queue=Queue(url=server.url), models=Models(time_limit=LIMIT))
        queue(settings)
        worker = subprocess.Popen([sys.executable, "-c", WORKER, str(config)], cwd=Path(__file__).parents[2])
        try:
            assert state(settings) == StudyState.FAILED
        finally:
            worker.kill()
            worker.wait()
        with open_ledger(settings).read() as connection:
            (item,) = work_items.listing(connection)
            assert jobs.find(connection, JOB.c.study_instance_uid == UID) == []
        assert "it took longer than models.time_limit = 10 s, and was ended" in item.reason


def queue(settings: Settings) -> None:
    with open_ledger(settings).write() as connection:
        record_instance(connection, stored(), "MODALITY", time.time())
        (row,) = studies.receiving(connection)
        assert studies.complete(connection, row, "quiet", time.time())
        work_items.ensure_item(connection, image(), time.time())
    Broker(make_app(settings.queue.url, LIMIT)).analyze(UID, 1)


def state(settings: Settings) -> str:
    """The last one after a while, where it is not failed before."""
    ledger = open_ledger(settings)

    def found() -> str:
        with ledger.read() as connection:
            return str(connection.execute(select(STUDY.c.state)).scalar_one())

    with suppress(AssertionError):
        wait_until(lambda: found() == StudyState.FAILED)
    return found()
