"""`readfirst backup` and `reindex`: the ledger is copied, or completed from the files."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from node.admin.printing import print_line
from node.data_folder import held
from node.ledger.backup import back_up
from node.ledger.engine import open_ledger
from node.plurals import counted
from node.privacy import close_to_others
from node.receiving.reindex import reindex as record_files
from node.settings import load


def backup(config: Path | None, to: Path) -> None:
    """Copy the ledger to a file, or to a new one in a folder."""
    name = f"ledger-{datetime.now(UTC):%Y%m%d-%H%M%S}.sqlite"
    copy = to / name if to.is_dir() else to
    with closing(open_ledger(load(config), make=False)) as ledger:
        back_up(ledger, copy)
    print_line(f"the ledger was copied to {copy}; the files in the data folder are not part of it", markup=False)


def reindex(config: Path | None) -> bool:
    """Record the files that the ledger does not know; whether each could be read."""
    settings = load(config, required=True)
    data = settings.node.data
    close_to_others(data)
    with held(data), closing(open_ledger(settings, reindexing=True)) as ledger:
        done = record_files(ledger, data)
    found = f"{counted(done.instances, 'instance')} of {counted(done.studies, 'study')}"
    print_line(f"{found} recorded, with {counted(done.results, 'result')} of ours")
    if done.missing:
        print_line(f"{counted(done.missing, 'instance')} of the ledger without a file")
    for name, reason in done.unreadable:
        print_line(f"not recorded: {name}: {reason}", markup=False)
    return not done.unreadable
