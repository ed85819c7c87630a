"""`python -m tests.system.hostile`: everything hostile beside a healthy study; exit 1 if the node or it suffers."""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.field_data import FIELD
from tests.system.hostile import files
from tests.system.hostile.attack import KINDS, Result, attack
from tests.system.hostile.kind import Row

_HEAD = ("kind", "inputs", "answers", "studies", "seconds")
_PATIENCE = 1200.0  # seconds until the last study has ended


def main() -> int:
    options = _options()
    every = (*KINDS, *(files.field() if FIELD.is_dir() else ()))
    kinds = [one for one in every if not options.only or any(part in one.name for part in options.only)]
    folder, begin = Path(tempfile.mkdtemp(prefix="readfirst-hostile-", dir=options.folder)), time.monotonic()
    print("| " + " | ".join(_HEAD) + " |\n" + "| --- " * len(_HEAD) + "|")
    try:
        result = attack(folder / "site", kinds, options.brief, _PATIENCE, _show)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    faults = result.all_faults()
    print(_summary(result, time.monotonic() - begin))
    for fault in faults:
        print(f"  {fault}", file=sys.stderr)
    return 1 if faults else 0


def _show(row: Row) -> None:
    print("| " + " | ".join(row.cells()) + " |", flush=True)


def _summary(result: Result, seconds: float) -> str:
    inputs = sum(len(row.answers) for row in result.rows)
    times = [
        f"median {statistics.median(some):.1f} s, longest {max(some):.1f} s, {len(some)} studies"
        for some in (result.usual, result.beside)
    ]
    return (
        f"\n{len(result.rows)} kinds, {inputs} inputs, {seconds:.0f} s; node: {result.memory}\n"
        f"healthy study before and after: {times[0]}; during: {times[1]}; limit of the median: {result.limit:.1f} s; "
        f"load average a core: {result.load:.1f}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.system.hostile", description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="kinds whose names hold one of these")
    parser.add_argument("--brief", action="store_true", help="a few inputs of each kind, as the ordinary suite does")
    parser.add_argument("--keep", action="store_true", help="leave folder and log")
    parser.add_argument("--folder", type=Path, default=None, help="where to work; default: the temporary folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
