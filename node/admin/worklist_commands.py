"""`readfirst worklist …`: what would be sent, and what it is worth."""

from __future__ import annotations

import secrets
import sys
import time
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import select

from node.admin import feedback
from node.errors import ReadFirstError
from node.ledger.engine import Ledger, open_ledger
from node.ledger.tables import WORK_ITEM
from node.settings import load
from node.worklist.items.rows import by_urgency
from node.worklist.reading.data_set import is_reading
from node.worklist.sinks import make_sinks, notices
from node.worklist.sinks.facts import Notice

app = typer.Typer(help="The reading worklist, most urgent first.", no_args_is_help=False)

Config = Annotated[
    Path | None, typer.Option("--config", help="The configuration file; default: readfirst.toml here, if there is one.")
]


class Shape(StrEnum):
    """Distributions of reading times."""

    LOGNORMAL = "lognormal"
    EXPONENTIAL = "exponential"
    CONSTANT = "constant"


@app.command()
def preview(
    uid: Annotated[str, typer.Argument(metavar="UID", help="Study Instance UID, as `readfirst status` shows it.")],
    sink: Annotated[str, typer.Option(help="Which sink's message; default: that of each.")] = "",
    config: Config = None,
) -> None:
    """Print what would be sent about a study's priority as it is now. Nothing is sent. It names the patient."""
    settings = load(config)
    sinks = make_sinks(settings)
    if sink and sink not in sinks:
        named = ", ".join(sinks) or "none"
        raise ReadFirstError(f"--sink {sink}: the sinks outside of this node in worklist.sinks are: {named}")
    if not sinks:
        raise ReadFirstError(
            "worklist.sinks names no sink outside of this node; add hl7, webhook or ups with its table"
        )
    with closing(open_ledger(settings, make=False)) as ledger:
        notice = _notice(ledger, uid)
    for name in [sink] if sink else sinks:
        sys.stderr.write(f"{name}: {sinks[name].where}; not sent\n")
        sys.stdout.write(sinks[name].preview(notice))


def _notice(ledger: Ledger, uid: str) -> Notice:
    with ledger.read() as connection:
        query = select(WORK_ITEM).where(WORK_ITEM.c.study_instance_uid == uid).order_by(*by_urgency())
        rows = [row for row in connection.execute(query).mappings() if is_reading(row["attributes"])]
        if not rows:
            raise ReadFirstError(f"study {uid} has no reading work item; `readfirst worklist` lists them")
        return notices.describe(connection, rows[0], secrets.token_hex(10), time.time())


@app.command()
def simulate(
    arrivals: Annotated[str, typer.Option(help="Studies an hour; 2,4,14,8: for parts of the day.")] = "8",
    reading: Annotated[float, typer.Option(help="Mean reading time, minutes.", min=0.01)] = 6.0,
    shape: Annotated[Shape, typer.Option(help="Of the reading times.")] = Shape.LOGNORMAL,
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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    config: Config = None,
) -> None:
    """How long critical and routine studies wait for a reader, with and without the node, beside Cobham's formula."""
    from node.worklist.simulation import report  # noqa: PLC0415  # numpy: not on the way of other commands

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


@app.command("feedback")
def export_feedback(
    out: Annotated[Path, typer.Option(help="The CSV file to write; it is replaced.")], config: Config = None
) -> None:
    """Write what readers said of findings (agree, disagree) as CSV."""
    with closing(open_ledger(load(config), make=False)) as ledger:
        try:
            with ledger.read() as connection, out.open("w", encoding="utf-8", newline="") as file:
                count = feedback.export(connection, file)
        except OSError as error:
            raise ReadFirstError(f"--out: {out} cannot be written: {error.strerror}") from error
    typer.echo(f"{count} verdicts written to {out}")
