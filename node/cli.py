"""The command `readfirst`: the words that a user writes. Each command imports what it needs when it runs."""

from __future__ import annotations

import sys
from enum import StrEnum
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from node.errors import ReadFirstError

Config = Annotated[
    Path | None, typer.Option("--config", help="The configuration file; default: readfirst.toml here, if there is one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Log each instance, too.")]
StudyOrJob = Annotated[
    str,
    typer.Argument(
        metavar="UID|NUMBER", help="Study Instance UID, or the number of a job, as `readfirst status` shows it."
    ),
]
StudyUid = Annotated[str, typer.Argument(metavar="UID", help="Study Instance UID, as `readfirst status` shows it.")]


Patient = Annotated[
    str | None, typer.Option("--patient", metavar="ID", help="Instead: all studies of this Patient ID (0010,0020).")
]
Undelivered = Annotated[bool, typer.Option("--undelivered", help="Also where results wait; they are never sent.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would go, and what is in the way.")]


class Distribution(StrEnum):
    """Distributions of reading times."""

    LOGNORMAL = "lognormal"
    EXPONENTIAL = "exponential"
    CONSTANT = "constant"


SUMMARIES = {
    "models": "Model packages: a card (card.toml) and the weights that it names.",
    "worker": "Run one worker; `readfirst up` starts its own. Needs queue.url, and node.data on a shared disk.",
}
"""First sentences of commands of other packages, which are not imported to list them; others are."""


class _Added(TyperCommand):
    """A command of another package before it is imported."""

    def __init__(self, entry: EntryPoint) -> None:
        super().__init__(entry.name, help=SUMMARIES.get(entry.name) or self.load(entry).help)
        self.entry = entry

    @staticmethod
    def load(entry: EntryPoint) -> Any:
        """The whole command."""
        found = entry.load()
        if isinstance(found, typer.Typer):
            command: Any = typer.main.get_group(found)
        else:
            single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            single.command(entry.name)(found)
            command = typer.main.get_command(single)
        command.name = entry.name
        return command


class _Commands(TyperGroup):
    """Our commands, and those that other packages add by the entry point `readfirst.commands`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Ours first."""
        return [*super().list_commands(ctx), *sorted(entry_points(group="readfirst.commands").names)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """One of another package is not imported yet."""
        added = entry_points(group="readfirst.commands", name=cmd_name) if cmd_name not in self.commands else ()
        return next(map(_Added, added), None) or super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the command that runs."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, _Added.load(command.entry) if isinstance(command, _Added) else command, rest


app = typer.Typer(
    name="readfirst",
    cls=_Commands,
    help="A DICOM node beside the PACS: findings come back as Segmentation and Structured Report, "
    "urgent studies move to the top of the worklist. Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_worklist = typer.Typer(help="The reading worklist, most urgent first.", no_args_is_help=False)
app.add_typer(_worklist, name="worklist")
_reports = typer.Typer(help="Radiology reports that were received (HL7 ORU^R01).", no_args_is_help=True)
app.add_typer(_reports, name="reports")


def main() -> None:
    """Entry point; an expected error is one sentence and exit 1."""
    try:
        app()
    except ReadFirstError as error:
        print(f"readfirst: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    if show:
        from node import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.command()
def up(config: Config = None, verbose: Verbose = False) -> None:
    """Run the whole node on this machine: SCP, embedded Redis, workers. SIGTERM or Ctrl-C ends it."""
    _run(config, verbose=verbose, with_workers=True)


@app.command()
def node(config: Config = None, verbose: Verbose = False) -> None:
    """Run the DICOM node alone; the workers run elsewhere and share queue.url, database.url and node.data."""
    _run(config, verbose=verbose, with_workers=False)


def _run(config: Path | None, *, verbose: bool, with_workers: bool) -> None:
    from node import logs, service
    from node.settings import load

    logs.configure(verbose=verbose)
    service.run_node(load(config, required=True), config, with_workers=with_workers)


@app.command()
def send(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="DICOM files or folders.")],
    to: Annotated[str, typer.Option(metavar="AET@HOST:PORT", help="Where to; for example READFIRST@127.0.0.1:11112.")],
    calling: Annotated[str, typer.Option("--as", metavar="AET", help="Our AE title.")] = "READFIRST_SCU",
) -> None:
    """Push DICOM files or folders to a node (C-STORE). Exit 1 if one was not stored."""
    from node.sending import command

    raise typer.Exit(0 if command.send(paths, to, calling) else 1)


@app.command()
def status(
    config: Config = None,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(help="How many studies, newest first.", min=1)] = 50,
) -> None:
    """Studies, their states and reasons; what waits for a peer."""
    from node.admin import study_commands

    study_commands.status(config, limit, as_json=as_json)


@app.command()
def study(uid: StudyUid, config: Config = None, as_json: AsJson = False) -> None:
    """One study's whole story, with times."""
    from node.admin import study_commands

    study_commands.study(config, uid, as_json=as_json)


@app.command()
def retry(target: StudyOrJob, config: Config = None) -> None:
    """Start at once a study's failed analysis and all its jobs that wait; or one job, by its number in `status`."""
    from node.admin import study_commands

    study_commands.retry(config, target)


@app.command()
def pin(uid: StudyUid, config: Config = None) -> None:
    """Keep all files and rows of a study, against all rules of `[retention]`, until `readfirst unpin`."""
    from node.admin import retention_commands

    retention_commands.set_pinned(config, uid, pinned=True)


@app.command()
def unpin(uid: StudyUid, config: Config = None) -> None:
    """Let retention delete a study again that was pinned."""
    from node.admin import retention_commands

    retention_commands.set_pinned(config, uid, pinned=False)


@app.command()
def delete(
    uid: Annotated[str | None, typer.Argument(metavar="[UID]", help="Study Instance UID.")] = None,
    patient: Patient = None,
    results: Annotated[bool, typer.Option("--results", help="Results, pictures and quarantined objects, too.")] = False,
    undelivered: Undelivered = False,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Delete the images of a study, or of a patient's studies; their findings stay."""
    from node.admin import retention_commands as commands

    commands.delete(config, commands.Target(uid, patient, undelivered, dry_run), results=results)


@app.command()
def forget(
    patient: Annotated[str, typer.Option("--patient", metavar="ID", help="Patient ID (0010,0020) as sent.")],
    undelivered: Undelivered = False,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Delete all that is kept of a patient: files, ledger, work items, reports; the audit trail keeps that it was."""
    from node.admin import retention_commands as commands

    commands.forget(config, commands.Target(None, patient, undelivered, dry_run))


@app.command()
def check(config: Config = None, as_json: AsJson = False) -> None:
    """Try everything that could fail: configuration, disk, database, Redis, peers, models. Exit 1 if anything would."""
    from node.admin import checks

    raise typer.Exit(0 if checks.check(config, as_json=as_json) else 1)


@app.command()
def backup(
    to: Annotated[Path, typer.Argument(metavar="TO", help="The file to write, or a folder that gets a new one.")],
    config: Config = None,
) -> None:
    """Copy the ledger while the node runs. To restore: stop, put the copy in its place, `readfirst reindex`, start."""
    from node.admin import data_commands

    data_commands.backup(config, to)


@app.command()
def reindex(config: Config = None) -> None:
    """Record in the ledger what is in the data folder and not in it; the node is stopped. Exit 1 if a file is bad."""
    from node.admin import data_commands

    raise typer.Exit(0 if data_commands.reindex(config) else 1)


@_reports.command("export")
def export_reports(
    to: Annotated[Path, typer.Argument(metavar="TO", help="A new folder.")], config: Config = None
) -> None:
    """Write the final reports whose studies are here, under pseudonyms, for `readfirst models label-reports`."""
    from node.admin import report_commands

    report_commands.export_reports(config, to)


@_worklist.callback(invoke_without_command=True)
def worklist(context: typer.Context, config: Config = None, as_json: AsJson = False) -> None:
    """The reading worklist, most urgent first."""
    if context.invoked_subcommand:
        return
    from node.admin import worklist_commands

    worklist_commands.worklist(config, as_json=as_json)


@_worklist.command()
def preview(
    uid: StudyUid,
    sink: Annotated[str, typer.Option(help="Which sink's message; default: that of each.")] = "",
    config: Config = None,
) -> None:
    """Print what would be sent about a study's priority as it is now. Nothing is sent. It names the patient."""
    from node.admin import worklist_commands

    worklist_commands.preview(config, uid, sink)


@_worklist.command()
def simulate(
    arrivals: Annotated[str, typer.Option(help="Studies an hour; 2,4,14,8: for parts of the day.")] = "8",
    reading: Annotated[float, typer.Option(help="Mean reading time, minutes.", min=0.01)] = 6.0,
    shape: Annotated[Distribution, typer.Option(help="Of the reading times.")] = Distribution.LOGNORMAL,
    spread: Annotated[float, typer.Option(help="Coefficient of variation of lognormal reading times.", min=0.01)] = 0.5,
    readers: Annotated[int, typer.Option(help="Readers at once.", min=1)] = 1,
    prevalence: Annotated[float, typer.Option(help="Part of the studies that is critical.", min=0, max=1)] = 0.05,
    sensitivity: Annotated[float, typer.Option(help="Part of the critical ones that is flagged.", min=0, max=1)] = 0.9,
    specificity: Annotated[float, typer.Option(help="Part of the others that is not.", min=0, max=1)] = 0.9,
    analysis: Annotated[float, typer.Option(help="Minutes from arrival until a study is flagged.", min=0)] = 1.0,
    ledger: Annotated[
        float, typer.Option(help="Replay the studies of the last so many hours, flagged as they were.", min=0)
    ] = 0.0,
    repeat: Annotated[int, typer.Option(help="Simulated days.", min=2)] = 200,
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 1,
    png: Annotated[Path | None, typer.Option(help="Write a picture there.")] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Waiting times of critical and routine studies with and without triage, beside Cobham's formula."""
    from contextlib import closing

    from node.ledger.engine import open_ledger
    from node.settings import load
    from node.worklist.simulation import report

    times = report.Times(reading, shape.value, spread, analysis)
    test = report.Test(prevalence, sensitivity, specificity)
    if ledger:
        with closing(open_ledger(load(config), make=False)) as known:
            answer = report.replay(known, ledger, times, test, readers, repeat, seed)
    else:
        answer = report.imagine(arrivals, times, test, readers, repeat, seed)
    sys.stdout.write(answer.as_json() if as_json else answer.as_text())
    if png:
        answer.write_png(png)


@_worklist.command("feedback")
def export_feedback(
    out: Annotated[Path, typer.Option(help="The CSV file to write; it is replaced.")], config: Config = None
) -> None:
    """Write the readers' feedback on findings (agree, disagree) as CSV."""
    from node.admin import worklist_commands

    worklist_commands.export_feedback(config, out)
