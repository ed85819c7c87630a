"""An analysis that hit the hard time limit has failed for good: it would hold a worker as long again each time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing

import structlog
from billiard.exceptions import TimeLimitExceeded

from node.dispatch.broker import ANALYZE
from node.ledger import studies
from node.ledger.engine import open_ledger
from node.settings import Settings
from node.worklist.reading import work_items

_log = structlog.get_logger(__name__)


def on_task_failure(settings: Settings, task: str, exception: BaseException, names: Mapping[str, object]) -> None:
    """Record that a task ended so; in the worker's main process, since the one that had the task was killed.

    The soft limit lets an analysis record this itself. It is missed where our code does not get to run any more, within
    a library; such a study has had all its time, and is not tried again as after the death of a worker.
    """
    if task != ANALYZE or not isinstance(exception, TimeLimitExceeded):
        return
    uid, generation = str(names["study_instance_uid"]), int(str(names["generation"]))
    limit = settings.models.time_limit
    reason = f"the analysis failed: it took longer than models.time_limit = {limit:g} s, and was ended"
    now = time.time()
    with closing(open_ledger(settings)) as ledger, ledger.write() as connection:  # not kept: this process forks
        failed = studies.fail(connection, uid, generation, reason, now)
        if failed:
            work_items.set_reason(connection, uid, reason, now)
    if failed:
        _log.error("study failed", study=uid, reason=reason)
