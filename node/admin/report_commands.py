"""`readfirst reports export`: kept reports to a folder for training."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from node.admin.printing import print_line
from node.errors import ReadFirstError
from node.ledger.engine import open_ledger
from node.plurals import counted
from node.reports.export import export, read_key
from node.reports.store import ReportStore, folder_of
from node.settings import load

LIMITS = (
    "names, numbers and dates that the message has, and what looks like one, are removed; a name that it does not have "
    "may stay: read a sample before you pass the folder on."
)


def export_reports(config: Path | None, to: Path) -> None:
    """Write the final reports whose studies are here, under pseudonyms."""
    settings = load(config)
    folder = folder_of(settings)
    if not folder.is_dir():
        raise ReadFirstError(f"{folder} has no reports; set reports.enabled = true, and send ORU^R01 to the listener.")
    store, data = ReportStore(folder), settings.node.data
    with closing(open_ledger(settings, make=False)) as ledger, ledger.read() as connection:
        done = export(connection, store.all(), to, data, read_key(folder))
    print_line(f"{counted(done.reports, 'report')} written to {to}: {LIMITS}", markup=False, highlight=False)
    print_line(f"{to}-images.csv leads back to the studies: keep it apart.", markup=False, highlight=False)
    if done.waiting or done.without_images:
        print_line(
            f"left out: {done.waiting} preliminary, canceled or empty, {done.without_images} without images here"
        )
