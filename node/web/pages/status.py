"""The status page: queues, deliveries, peers, disk, models, and what failed, with a button to try again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import Connection, Select, case, func, or_, select
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from node.admin import queries
from node.admin import retry as retrying
from node.dicom.identity import is_received_uid
from node.dispatch.broker import TASKS
from node.entities import JobState, StudyState
from node.errors import OutOfResources, QueueUnavailable, ReadFirstError
from node.ledger import jobs, workers
from node.ledger.tables import FINDING, STUDY
from node.sending import circuits, deliveries
from node.sending.deliveries import DELIVERY
from node.web.context import PageContext, context_of
from node.web.pages import failures
from node.web.pages.forms import Form
from node.web.pages.rendering import page
from node.worklist.sinks import notices

_CHECK_SECONDS = 180.0
_CHECKING = threading.Lock()  # one check at a time: it calls every peer and loads every model


def show(request: Request) -> Response:
    """`GET /status`."""
    return page(request, "status.html", **_values(context_of(request)))


def metrics(request: Request) -> Response:
    """`GET /metrics`: what Prometheus scrapes, with the token as Bearer where there is one."""
    return Response(context_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)


def panel(request: Request) -> Response:
    """`GET /status/panel`: the same without the frame."""
    return page(request, "_status.html", **_values(context_of(request)))


def retry(request: Request, _form: Form) -> Response:
    """`POST /status/retry/UID`: what `readfirst retry UID` does."""
    context, uid = context_of(request), request.path_params["uid"]
    if not is_received_uid(uid):
        raise HTTPException(404, "No such study is known here.")
    try:
        with context.ledger.write() as connection:
            done = retrying.retry(connection, uid, context.clock())
    except OutOfResources:
        raise
    except ReadFirstError as error:
        raise HTTPException(409, str(error)) from error
    if not any(done):
        raise HTTPException(409, "It has no failed analysis, nothing kept back and nothing that waits any more.")
    return panel(request)


def retry_job(request: Request, _form: Form) -> Response:
    """`POST /status/retry-job/NUMBER`: what `readfirst retry NUMBER` does."""
    context = context_of(request)
    with context.ledger.write() as connection:
        done = jobs.retry_one(connection, request.path_params["number"], context.clock())
    if not done:
        raise HTTPException(409, "It is done, or waits no more.")
    return panel(request)


def check(request: Request, _form: Form) -> Response:
    """`POST /status/check`: `readfirst check` in a process of its own, since it loads the models."""
    context = context_of(request)
    if not _CHECKING.acquire(blocking=False):
        raise HTTPException(409, "A check is running: wait for it.")
    try:
        lines = _check(context)
    finally:
        _CHECKING.release()
    return page(request, "_checks.html", lines=lines)


def _check(context: PageContext) -> list[dict[str, Any]]:
    options = ["--config", str(context.config)] if context.config else []
    command = [sys.executable, "-m", "node", "check", "--json", *options]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_CHECK_SECONDS, check=False, env=context.environment
        )
        lines: list[dict[str, Any]] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise HTTPException(503, "The check did not end: run `readfirst check`.") from error
    return lines


def _values(context: PageContext) -> dict[str, Any]:
    with context.ledger.read() as connection:
        return {
            "states": _states(connection),
            "queues": {queue: _waiting(context, task) for task, queue in TASKS.items()},
            "peers": _peers(connection, context),
            "disk": _disk(context),
            "models": _models(connection, context),
            "failures": failures.find(connection),
            "triage": queries.triage(connection, context.settings.worklist.policy),
            "notices": notices.open_counts(connection),
            "waiting": failures.waiting(connection),
            "workers": workers.states(connection, context.clock()),
        }


def _states(connection: Connection) -> dict[str, int]:
    counted = connection.execute(select(STUDY.c.state, func.count().label("studies")).group_by(STUDY.c.state))
    counts = {row.state: row.studies for row in counted}
    return {state.value: counts.get(state.value, 0) for state in StudyState}


def _waiting(context: PageContext, task: str) -> int | None:
    """Messages that no worker has taken; None where the queue cannot be reached."""
    try:
        return context.waiting(task)
    except QueueUnavailable:
        return None


def _peers(connection: Connection, context: PageContext) -> list[dict[str, Any]]:
    """Each peer with what it got, what waits for it, and its last error."""
    rows = {row["peer"]: dict(row) for row in connection.execute(_deliveries()).mappings()}
    nothing = {"delivered": 0, "waiting": 0, "last_delivered_at": None, "next_attempt_at": None, "tries": 0}
    failing = {row["lane"]: row for row in circuits.open_circuits(connection)}
    found = []
    for name, peer in context.settings.peers.items():
        roles = [*(f"sends {what}" for what in peer.send), *(f"gets {what}" for what in peer.receive)]
        roles += ["answers queries"] * peer.query
        where = f"folder {peer.folder}" if peer.folder else f"{peer.ae_title}@{peer.host}:{peer.port}"
        own = rows.get(name, nothing)
        circuit = failing.get(name)
        error = circuit["last_error"] if circuit else _error(connection, name)
        known = {"name": name, "where": where, "roles": ", ".join(roles), "error": error}
        found.append(known | own | {"failing": circuit})
    return found


def _deliveries() -> Select[Any]:
    pending = DELIVERY.c.state == JobState.PENDING
    return select(
        DELIVERY.c.peer,
        func.sum(case((DELIVERY.c.state == JobState.DELIVERED, 1), else_=0)).label("delivered"),
        func.sum(case((or_(pending, DELIVERY.c.state == JobState.STORED), 1), else_=0)).label("waiting"),
        func.max(DELIVERY.c.delivered_at).label("last_delivered_at"),
        func.min(case((pending, DELIVERY.c.next_attempt_at))).label("next_attempt_at"),
        func.max(case((pending, DELIVERY.c.attempts), else_=0)).label("tries"),
    ).group_by(DELIVERY.c.peer)


def _error(connection: Connection, peer: str) -> str:
    query = select(DELIVERY.c.last_error).where(DELIVERY.c.peer == peer, deliveries.FAILING)
    return connection.execute(query.order_by(DELIVERY.c.id.desc()).limit(1)).scalar() or ""


def _disk(context: PageContext) -> dict[str, float]:
    usage = shutil.disk_usage(context.settings.node.data)
    least = context.settings.node.min_free_mb
    return {"free": usage.free >> 20, "total": usage.total >> 20, "least": least, "used": 1 - usage.free / usage.total}


def _models(connection: Connection, context: PageContext) -> list[dict[str, Any]]:
    """The configured packages, with how many studies they analysed, and when last."""
    query = (
        select(FINDING.c.package, func.count(FINDING.c.study_instance_uid.distinct()), func.max(STUDY.c.finished_at))
        .join(STUDY, STUDY.c.study_instance_uid == FINDING.c.study_instance_uid)
        .group_by(FINDING.c.package)
    )
    used = {package: (count, last) for package, count, last in connection.execute(query)}
    names = dict.fromkeys([*context.settings.models.packages, *used])
    return [
        {"name": name, "configured": name in context.settings.models.packages, "studies": count, "last": last}
        for name in names
        for count, last in (used.get(name, (0, None)),)
    ]
