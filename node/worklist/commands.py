"""`readfirst worklist …`: what would be sent, and what it is worth."""

from __future__ import annotations

import secrets
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import select

from node.errors import ReadFirstError
from node.ledger import Ledger, open_ledger
from node.settings import load
from node.tables import WORK_ITEM
from node.worklist import notices
from node.worklist.reading import is_reading
from node.worklist.rows import by_urgency
from node.worklist.sinks import make_sinks
from node.worklist.sinks.facts import Notice

app = typer.Typer(help="The reading worklist, most urgent first.", no_args_is_help=False)

Config = Annotated[
    Path | None, typer.Option("--config", help="The configuration file; default: readfirst.toml here, if there is one.")
]


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
    notice = _notice(open_ledger(settings, make=False), uid)
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
