"""`readfirst status`, `study` and `retry`: studies as the ledger has them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table
from sqlalchemy import Connection, RowMapping

from node.admin import queries
from node.admin import retry as retrying
from node.admin.printing import new_table, print_json, print_line, print_table
from node.admin.study_view import study_view
from node.dispatch.completeness import may_miss_images
from node.entities import JobState
from node.errors import ReadFirstError
from node.ledger import jobs, studies
from node.ledger.engine import open_ledger
from node.ledger.workers import Readiness
from node.plurals import counted
from node.sending import deliveries
from node.settings import load
from node.worklist.sinks import notices


def status(config: Path | None, limit: int, *, as_json: bool) -> None:
    """The newest studies, their states and reasons; what waits for a peer."""
    settings = load(config)
    with closing(open_ledger(settings, make=False)) as ledger, ledger.read() as connection:
        found = queries.list_studies(connection, limit)
        waiting = {"unfinished": studies.unfinished(connection), "undelivered": deliveries.undelivered(connection)}
        triage = queries.triage(connection, settings.worklist.policy)
        waiting_notices = notices.open_counts(connection)
        troubled = jobs.troubled(connection, limit)
        failing = queries.failing_receivers(connection)
        workers = queries.workers_by_name(connection, time.time())
    if as_json:
        listed = [dict(row) | {"due_at": queries.moment(row["due_at"])} for row in troubled]
        print_json(waiting | triage | {
            "notices": waiting_notices, "jobs": listed, "receivers_failing": failing, "workers": workers,
            "studies": found,
        })  # fmt: skip
        return
    table = new_table("study", "state", "priority", "instances", "sent", "waiting", "kept back", "why")
    for row in found:
        why = row["reason"] or row["last_error"] or (row["evidence"] if may_miss_images(row["evidence"]) else "")
        table.add_row(*("" if row[key] is None else str(row[key]) for key in _STATUS_KEYS), escape(why))
    print_table(table)
    unfinished, undelivered = counted(waiting["unfinished"], "study"), counted(waiting["undelivered"], "object")
    print_line(f"{unfinished} unfinished, {undelivered} not yet delivered")
    for line in [*_workers(workers), *map(_failing, failing)]:
        print_line(line, markup=False)
    if triage["alerts_waiting"]:
        print_line(f"{counted(triage['alerts_waiting'], 'alert')} waiting for worklist.policy.alerts_an_hour")
    for package in triage["stuck_packages"]:
        print_line(f"{package} flags nearly everything: it is in shadow mode until that stops", markup=False)
    if any(waiting_notices.values()):
        pending, rejected = waiting_notices["pending"], waiting_notices["rejected"]
        print_line(f"worklist notices: {pending} not yet delivered, {rejected} rejected")
    if troubled:
        print_table(_table(_JOB_COLUMNS, map(_job, troubled)))


def study(config: Path | None, uid: str, *, as_json: bool) -> None:
    """One study's whole story, with times."""
    with closing(open_ledger(load(config), make=False)) as ledger, ledger.read() as connection:
        story = _require_known(connection, uid)
    if as_json:
        print_json(story)
        return
    print_line(f"{uid}: {story['reason'] or story['state']}", markup=False)
    if story["objects_quarantined"]:
        kept = counted(story["objects_quarantined"], "object")
        print_line(f"{kept} kept back: our own checks found a fault, nothing of it was sent; see below")
        print_line(f"after its repair `readfirst retry {uid}` makes and checks them again", markup=False)
    for table in _tables(story):
        print_table(table)


def retry(config: Path | None, target: str) -> None:
    """Start at once a study's failed analysis and all its jobs that wait; or one job, by its number."""
    if target.isdecimal():
        _retry_job(config, int(target))
    else:
        _retry_study(config, target)


def _retry_job(config: Path | None, number: int) -> None:
    with closing(open_ledger(load(config), make=False)) as ledger, ledger.write() as connection:
        if not jobs.retry_one(connection, number, time.time()):
            raise ReadFirstError(f"no job {number} waits or was rejected; `readfirst status` lists them")
    print_line(f"job {number} due now")


def _retry_study(config: Path | None, uid: str) -> None:
    now = time.time()
    with closing(open_ledger(load(config), make=False)) as ledger, ledger.write() as connection:
        _require_known(connection, uid)
        again, due = retrying.retry(connection, uid, now)
    if not again and not due:
        nothing = "no failed analysis, nothing kept back and nothing that waits"
        raise ReadFirstError(f"study {uid} has {nothing}; see `readfirst study {uid}`")
    print_line(", ".join(["analysis queued again"] * again + [f"{counted(due, 'job')} due now"] * bool(due)))


def _require_known(connection: Connection, uid: str) -> dict[str, Any]:
    view = study_view(connection, uid)
    story = view.as_json() if view else None
    if story is None:
        raise ReadFirstError(f"no study {uid} is known; `readfirst status` lists them")
    return story


def _tables(story: Mapping[str, Any]) -> Iterator[Table]:
    yield _table(_FINDING_COLUMNS, map(_finding, story["findings"]))
    yield _table(_DELIVERY_COLUMNS, ([row[key] for key in _DELIVERY_KEYS] for row in story["deliveries"]))
    yield _table(_DECISION_COLUMNS, map(_decision, story["decisions"]))
    if story["notices"]:
        yield _table(_NOTICE_COLUMNS, map(_notice, story["notices"]))
    yield _table(_EVENT_COLUMNS, ([row[key] for key in ("at", "kind", "detail")] for row in story["events"]))


def _workers(workers: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Those that are not as they should be."""
    for one in workers:
        if one["readiness"] != Readiness.READY or one["reason"]:
            reason = f": {one['reason']}" if one["reason"] else ""
            yield f"worker {one['name']} is {one['readiness']} since {one['since']}{reason}"


def _failing(receiver: Mapping[str, Any]) -> str:
    return (
        f"{receiver['peer']} failed {counted(receiver['failures'], 'time')} in a row ({receiver['last_error']}): "
        f"{counted(receiver['waiting'], 'object')} waiting, it is probed at {receiver['probe_at']}"
    )


def _table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """Cells as they are; one that is None is empty."""
    table = new_table(*columns)
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    return table


def _finding(row: Mapping[str, Any]) -> tuple[object, ...]:
    value, threshold = f"{row['quantity']} {row['probability']:.3f}", f"{row['operating_point']:.3f}"
    return row["label"], "present" if row["present"] else "absent", value, threshold, row["place"], row["package"]


def _decision(row: Mapping[str, Any]) -> list[object]:
    return [row[key] for key in _DECISION_KEYS] + [_circumstances(row["inputs"])]


def _circumstances(inputs: Mapping[str, Any]) -> str:
    """The circumstances of a decision; its findings stand above, all of it in `--json`."""
    parts = [
        f"patient {inputs['patient']}",
        f"{inputs['hours']:.1f} h after the study",
        f"{counted(inputs['alerts'], 'alert')}/h",
    ]
    stuck = f"stuck: {', '.join(inputs['stuck'])}" if inputs["stuck"] else ""
    return ", ".join(filter(None, [*parts, stuck]))


def _job(row: RowMapping) -> tuple[object, ...]:
    """A job that failed and waits, or that only a person tries again."""
    due = queries.moment(row["due_at"]) if row["state"] == JobState.PENDING else None
    return (*(row[key] for key in _JOB_KEYS), due, row["last_error"])


def _notice(row: Mapping[str, Any]) -> tuple[object, ...]:
    detail = row["acknowledgement"] or row["last_error"]
    return row["sink"], row["priority"], row["state"], row["attempts"], detail, row["delivered_at"]


_STATUS_KEYS = (
    "study_instance_uid", "state", "priority", "instances", "objects_delivered", "objects_waiting",
    "objects_quarantined",
)  # fmt: skip
_FINDING_COLUMNS = ("finding", "present", "value", "threshold", "location", "model")
_DELIVERY_COLUMNS = ("object", "to", "state", "tries", "last error", "delivered")
_DELIVERY_KEYS = ("kind", "peer", "state", "attempts", "last_error", "delivered_at")
_DECISION_COLUMNS = ("time (UTC)", "decision", "asked", "ACR", "why", "of")
_DECISION_KEYS = ("at", "outcome", "asked", "category", "reason")
_NOTICE_COLUMNS = ("sink", "priority", "state", "tries", "acknowledgement or last error", "delivered")
_JOB_COLUMNS = ("number", "job", "to", "study", "state", "tries", "due (UTC)", "last error")
_JOB_KEYS = ("id", "kind", "lane", "study_instance_uid", "state", "attempts")
_EVENT_COLUMNS = ("time (UTC)", "what", "detail")
