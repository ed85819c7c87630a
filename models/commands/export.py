"""The command `readfirst models export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.commands.arguments import Folders, Package
from models.commands.console import note, printed_errors, progress
from models.commands.folders import package_folder

if TYPE_CHECKING:
    from models.exporters.export import Exported

To = Annotated[str, typer.Option("--to", metavar="FORMAT", help="onnx, torch-export or tflite.")]
Out = Annotated[Path, typer.Option(metavar="DIR", help="The file and its description (JSON) are written there.")]
Int8 = Annotated[bool, typer.Option("--int8", help="Also an 8-bit ONNX file, calibrated on --data.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Labelled images (labels.csv, images/) to compare and calibrate on."),
]
Split = Annotated[str, typer.Option(help="The split that the 8-bit file's AUC is measured on; never calibrated on.")]
Replace = Annotated[bool, typer.Option("--replace", help="Write over files that are there.")]


def export(
    package: Package,
    to: To = "onnx",
    out: Out = Path(),
    int8: Int8 = False,
    data: Data = None,
    split: Split = "validation",
    replace: Replace = False,
    folders: Folders = None,
) -> None:
    """Write a package as a file that others run, and compare both. Exit status 1 if they differ."""
    with printed_errors(), progress() as advance:
        from models.exporters.export import export as write  # noqa: PLC0415 (torch)

        done = write(
            package_folder(package, folders), to, out, quantize=int8, data=data, split=split, replace=replace,
            advance=advance,
        )  # fmt: skip
    Console(width=None if Console().is_terminal else 200).print(_table(done))
    if done.int8 and done.int8.change:
        changed = done.int8.change
        for name, value in changed.before.items():
            typer.echo(f"AUC of {name}: {value:.3f}, in 8 bits {changed.after[name]:.3f}")
        typer.echo(f"Mean change {changed.mean:+.4f} on {changed.images} images of {changed.data}.")
    typer.echo(f"{done.file}: written. What it takes and gives: {done.description}")
    for fault in done.faults:
        note(f"readfirst models: {fault}")
    if done.faults:
        raise typer.Exit(1)


def _table(done: Exported) -> Table:
    table = Table("file", "bytes", "ms", "package's ms", "ratio", "largest differences", box=None)
    rows = [(done.file, done.file_bytes, done.parity)]
    rows += [(done.int8.file, done.int8.file_bytes, done.int8.parity)] if done.int8 else []
    for file, size, parity in rows:
        away = ", ".join(f"{name} {value:.1e}" for name, value in parity.differences.items())
        times = f"{parity.file_ms:.1f}", f"{parity.own_ms:.1f}", f"{parity.own_ms / parity.file_ms:.2f}"
        table.add_row(file.name, f"{size:,}", *times, away)
    table.add_row("(the package's weights)", f"{done.weights_bytes:,}", "", "", "", "")
    return table
