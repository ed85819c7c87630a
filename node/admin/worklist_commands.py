"""`readfirst worklist`, `worklist preview` and `worklist feedback`."""

from __future__ import annotations

import secrets
import sys
import time
from contextlib import closing
from pathlib import Path

from rich.markup import escape
from sqlalchemy import select

from node.admin import feedback
from node.admin.printing import new_table, print_json, print_line, print_table
from node.errors import ReadFirstError
from node.ledger.engine import Ledger, open_ledger
from node.ledger.tables import WORK_ITEM
from node.plurals import counted
from node.settings import load
from node.worklist.items.rows import by_urgency
from node.worklist.reading import work_items
from node.worklist.reading.data_set import is_reading
from node.worklist.sinks import make_sinks, notices, registered
from node.worklist.sinks.facts import Notice


def worklist(config: Path | None, *, as_json: bool) -> None:
    """The reading worklist, most urgent first."""
    settings = load(config)
    with closing(open_ledger(settings, make=False)) as ledger, ledger.read() as connection:
        rows = work_items.listing(connection, policy=settings.worklist.policy, now=time.time())
    if as_json:
        print_json([work_items.as_json(row) for row in rows])
        return
    table = new_table("priority", "state", "patient", "study", "since (UTC)", "why")
    for row in rows:
        table.add_row(*map(escape, work_items.as_line(row)))
    print_table(table)


def preview(config: Path | None, uid: str, sink: str) -> None:
    """Print what would be sent about a study's priority to one sink, or to each."""
    settings = load(config)
    sinks = make_sinks(settings)
    if sink and sink not in sinks:
        named = ", ".join(sinks) or "none"
        raise ReadFirstError(f"--sink {sink}: the sinks outside of this node in worklist.sinks are: {named}")
    if not sinks:
        raise ReadFirstError(
            f"worklist.sinks names no sink outside of this node; add one with its table: {', '.join(registered())}"
        )
    with closing(open_ledger(settings, make=False)) as ledger:
        notice = _notice(ledger, uid)
    for name in [sink] if sink else sinks:
        sys.stderr.write(f"{name}: {sinks[name].where}; not sent\n")
        sys.stdout.write(sinks[name].preview(notice))


def export_feedback(config: Path | None, out: Path) -> None:
    """Write the readers' feedback on findings as CSV."""
    with closing(open_ledger(load(config), make=False)) as ledger:
        try:
            with ledger.read() as connection, out.open("w", encoding="utf-8", newline="") as file:
                count = feedback.export(connection, file)
        except OSError as error:
            raise ReadFirstError(f"--out: {out} cannot be written: {error.strerror}") from error
    print_line(f"feedback on {counted(count, 'finding')} written to {out}", markup=False, highlight=False)


def _notice(ledger: Ledger, uid: str) -> Notice:
    with ledger.read() as connection:
        query = select(WORK_ITEM).where(WORK_ITEM.c.study_instance_uid == uid).order_by(*by_urgency())
        rows = [row for row in connection.execute(query).mappings() if is_reading(row["attributes"])]
        if not rows:
            raise ReadFirstError(f"study {uid} has no reading work item; `readfirst worklist` lists them")
        return notices.describe(connection, rows[0], secrets.token_hex(10), time.time())
