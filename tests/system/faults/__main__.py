"""`python -m tests.system.faults`: make every fault, print the table; exit 1 if anything is lost, twice or torn."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.system.faults import associations, clocks, disks, kills, peers, waits
from tests.system.faults.fault import HEAD, Fault, Ground, Row, attempt

FAULTS: tuple[Fault, ...] = (
    *kills.FAULTS, *disks.FAULTS, *waits.FAULTS, *clocks.FAULTS, *peers.FAULTS, *associations.FAULTS,
)  # fmt: skip


def main() -> int:
    options = _options()
    wanted = [fault for fault in FAULTS if not options.only or any(part in fault.name for part in options.only)]
    ground = Ground(Path(tempfile.mkdtemp(prefix="readfirst-faults-", dir=options.folder)), options.brief)
    begin, rows = time.monotonic(), list[Row]()
    print("| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|")
    try:
        for fault in wanted:
            rows.append(attempt(fault, ground, options.tries, options.seed))
            print("| " + " | ".join(rows[-1].cells()) + " |", flush=True)
            for wrong in rows[-1].accounts.wrongs:
                print(f"  {wrong}", file=sys.stderr, flush=True)
    finally:
        ground.leave() if options.keep else ground.clear()
    failed = [row.fault.name for row in rows if not row.right and not row.unavailable]
    print(f"\n{len(rows)} faults, seed {options.seed}, {time.monotonic() - begin:.0f} s", end="")
    print(f"; wrong: {', '.join(failed)}" if failed else "; nothing lost, nothing twice, nothing torn")
    return 1 if failed or not rows else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.system.faults", description=__doc__)
    parser.add_argument("--tries", type=int, default=50, help="tries of a fault, as far as it takes so many")
    parser.add_argument("--only", nargs="*", default=[], help="faults whose names hold one of these")
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--brief", action="store_true", help="wait less: seconds for Redis and for the database")
    parser.add_argument("--keep", action="store_true", help="leave folders and logs")
    parser.add_argument("--folder", type=Path, default=None, help="where to work; default: the temporary folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
