"""The command `readfirst`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy import RowMapping

from node import __version__, entry, logs, service
from node.admin import queries, worklist_commands
from node.admin import retry as retrying
from node.admin.checks import Line, run_checks
from node.entities import JobState
from node.errors import ReadFirstError
from node.ledger import jobs, studies
from node.ledger.engine import open_ledger
from node.sending import command as sending
from node.sending import deliveries
from node.settings import load
from node.worklist.reading import work_items
from node.worklist.sinks import notices

Config = Annotated[
    Path | None, typer.Option("--config", help="The configuration file; default: readfirst.toml here, if there is one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Log each instance, too.")]
StudyUid = Annotated[str, typer.Argument(metavar="UID", help="Study Instance UID, as `readfirst status` shows it.")]

app = typer.Typer(
    name="readfirst",
    help="A DICOM node beside the PACS: findings come back as Segmentation and Structured Report, "
    "urgent studies move to the top of the worklist. Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(worklist_commands.app, name="worklist")
_out = Console(width=None if sys.stdout.isatty() else 200)
_WHOLE = ("study", "time (UTC)", "since (UTC)", "priority", "state")  # columns that are never broken


def main() -> None:
    """Entry point: our commands and those that other packages add; an expected error is one sentence and exit 1."""
    for added in entry_points(group="readfirst.commands"):
        command = added.load()
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=added.name)
        else:
            app.command(added.name)(command)
    entry.run(app)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    if show:
        _out.print(__version__)
        raise typer.Exit


@app.command()
def up(config: Config = None, verbose: Verbose = False) -> None:
    """Run the whole node on this machine: SCP, embedded Redis, workers. SIGTERM or Ctrl-C ends it."""
    logs.configure(verbose=verbose)
    service.run_node(load(config), config, with_workers=True)


@app.command()
def node(config: Config = None, verbose: Verbose = False) -> None:
    """Run the DICOM node alone; the workers run elsewhere and share queue.url, database.url and node.data."""
    logs.configure(verbose=verbose)
    service.run_node(load(config), config, with_workers=False)


app.command()(sending.send)


@app.command()
def status(
    config: Config = None,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(help="How many studies, newest first.", min=1)] = 50,
) -> None:
    """Studies, their states and reasons; what waits for a peer."""
    settings = load(config)
    ledger = open_ledger(settings, make=False)
    with ledger.read() as connection:
        found = queries.list_studies(connection, limit)
        waiting = {"unfinished": studies.unfinished(connection), "undelivered": deliveries.undelivered(connection)}
        triage = queries.triage(connection, settings.worklist.policy)
        open_notices = notices.open_counts(connection)
        troubled = jobs.troubled(connection, limit)
    if as_json:
        listed = [dict(row) | {"due_at": queries.moment(row["due_at"])} for row in troubled]
        _print_json(waiting | triage | {"notices": open_notices, "jobs": listed, "studies": found})
        return
    table = _table("study", "state", "priority", "instances", "sent", "waiting", "kept back", "why")
    for row in found:
        why = row["reason"] or row["last_error"] or row["evidence"]
        table.add_row(*("" if row[key] is None else str(row[key]) for key in _STATUS_KEYS), escape(why))
    _print_table(table)
    _out.print(f"{waiting['unfinished']} studies unfinished, {waiting['undelivered']} objects not yet delivered")
    if triage["alerts_waiting"]:
        _out.print(f"{triage['alerts_waiting']} alerts wait for worklist.policy.alerts_an_hour")
    for package in triage["stuck_packages"]:
        _out.print(f"{package} flags nearly everything: it is in shadow mode until that stops", markup=False)
    if any(open_notices.values()):
        _out.print(f"worklist notices: {open_notices['pending']} not yet sent, {open_notices['rejected']} rejected")
    if troubled:
        _print_table(_jobs(troubled))


@app.command()
def study(uid: StudyUid, config: Config = None, as_json: AsJson = False) -> None:
    """One study's whole story, with times."""
    ledger = open_ledger(load(config), make=False)
    with ledger.read() as connection:
        story = queries.story(connection, uid)
    if story is None:
        raise ReadFirstError(f"no study {uid} is known; `readfirst status` lists them")
    if as_json:
        _print_json(story)
        return
    _out.print(f"{uid}: {story['reason'] or story['state']}", markup=False, soft_wrap=True)
    if story["objects_quarantined"]:
        _out.print(f"{story['objects_quarantined']} objects did not pass our own checks and were not sent; see below")
    findings = _table("finding", "present", "value", "operating point", "place", "model")
    for row in story["findings"]:
        present, value = "present" if row["present"] else "absent", f"{row['quantity']} {row['probability']:.3f}"
        findings.add_row(row["label"], present, value, f"{row['operating_point']:.3f}", row["place"], row["package"])
    deliveries = _table("object", "to", "state", "tries", "last error", "delivered")
    for row in story["deliveries"]:
        deliveries.add_row(*(escape(str(row[key] if row[key] is not None else "")) for key in _DELIVERY_KEYS))
    decisions = _table("time (UTC)", "decided", "asked", "ACR", "why", "of")
    for row in story["decisions"]:
        decisions.add_row(*(escape(str(row[key] or "")) for key in _DECISION_KEYS), escape(_of(row["inputs"])))
    told = _table("told", "priority", "state", "tries", "acknowledgement or last error", "delivered")
    for row in story["notices"]:
        said = row["acknowledgement"] or row["last_error"]
        cells = (row["sink"], row["priority"], row["state"], row["attempts"], said, row["delivered_at"] or "")
        told.add_row(*(escape(str(cell)) for cell in cells))
    events = _table("time (UTC)", "what", "detail")
    for row in story["events"]:
        events.add_row(row["at"], row["kind"], escape(row["detail"]))
    for table in (findings, deliveries, decisions, told, events):
        if table.row_count or table is not told:
            _print_table(table)


@worklist_commands.app.callback(invoke_without_command=True)
def worklist(context: typer.Context, config: Config = None, as_json: AsJson = False) -> None:
    """The reading worklist, most urgent first."""
    if context.invoked_subcommand:
        return
    settings = load(config)
    ledger = open_ledger(settings, make=False)
    with ledger.read() as connection:
        rows = work_items.listing(connection, policy=settings.worklist.policy, now=time.time())
    if as_json:
        _print_json([work_items.as_json(row) for row in rows])
        return
    table = _table("priority", "state", "patient", "study", "since (UTC)", "why")
    for row in rows:
        table.add_row(*map(escape, work_items.as_line(row)))
    _print_table(table)


@app.command()
def retry(uid: StudyUid, config: Config = None) -> None:
    """Start at once an analysis that failed or was refused, and everything that waits to be delivered."""
    ledger = open_ledger(load(config), make=False)
    now = time.time()
    with ledger.write() as connection:
        if queries.story(connection, uid) is None:
            raise ReadFirstError(f"no study {uid} is known; `readfirst status` lists them")
        again, deliveries = retrying.retry(connection, uid, now)
    if not again and not deliveries:
        raise ReadFirstError(f"study {uid} has no failed analysis and nothing that waits; see `readfirst study {uid}`")
    done = ["analysis queued again"] * again + [f"{deliveries} deliveries due now"] * bool(deliveries)
    _out.print(", ".join(done))


@app.command()
def check(config: Config = None, as_json: AsJson = False) -> None:
    """Try everything that could fail: configuration, disk, database, Redis, peers, models. Exit 1 if anything would."""
    logs.configure()
    lines = run_checks(lambda: load(config))
    if as_json:
        _print_json([{"ok": line.ok, "what": line.what, "detail": line.detail} for line in lines])
    else:
        for line in lines:
            _print_line(line)
    raise typer.Exit(0 if all(line.ok for line in lines) else 1)


def _jobs(rows: Sequence[RowMapping]) -> Table:
    """Jobs that wait after a failure, and those that only a person tries again."""
    table = _table("job", "to", "study", "state", "tries", "due (UTC)", "last error")
    for row in rows:
        cells = ("kind", "lane", "study_instance_uid", "state", "attempts")
        due = queries.moment(row["due_at"]) if row["state"] == JobState.PENDING else ""
        table.add_row(*(escape(str(row[cell])) for cell in cells), due, escape(row["last_error"]))
    return table


_STATUS_KEYS = (
    "study_instance_uid", "state", "priority", "instances", "objects_delivered", "objects_waiting",
    "objects_quarantined",
)  # fmt: skip
_DELIVERY_KEYS = ("kind", "peer", "state", "attempts", "last_error", "delivered_at")

_DECISION_KEYS = ("at", "outcome", "asked", "category", "reason")


def _of(inputs: dict[str, Any]) -> str:
    """The circumstances of a decision; its findings stand above, all of it in `--json`."""
    said = [f"patient {inputs['patient']}", f"{inputs['hours']:.1f} h after the study", f"{inputs['alerts']} alerts/h"]
    stuck = f"stuck: {', '.join(inputs['stuck'])}" if inputs["stuck"] else ""
    return ", ".join(filter(None, [*said, stuck]))


def _print_line(line: Line) -> None:
    word = "[green]ok  [/green]" if line.ok else "[red]FAIL[/red]"
    _out.print(f"{word} {line.what}: ", end="", soft_wrap=True)
    _out.print(line.detail, markup=False, highlight=False, soft_wrap=True)


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column in _WHOLE, overflow="fold")
    return table


def _print_table(table: Table) -> None:
    """At least as wide as its UIDs need: one that is broken cannot be copied. A narrow terminal wraps the lines."""
    Console(width=max(_out.width, 200)).print(table, soft_wrap=True)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1) + "\n")
