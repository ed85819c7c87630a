"""How long commands take to start, as processes, beside Python that does nothing. Run by hand:

    python -m tests.benchmarks.startup [--rounds 5]

Commands take turns in each round, on an empty ledger in a temporary folder; seconds, median and spread.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from node.ledger.engine import open_ledger
from node.settings import Node, Settings

READFIRST = (sys.executable, "-m", "node")
COMMANDS: dict[str, tuple[str, ...]] = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "readfirst --help": (*READFIRST, "--help"),
    "readfirst status": (*READFIRST, "status"),
    "readfirst worklist": (*READFIRST, "worklist"),
    "readfirst send --help": (*READFIRST, "send", "--help"),
    "readfirst models --help": (*READFIRST, "models", "--help"),
    "readfirst worker --help": (*READFIRST, "worker", "--help"),
}
ASKED = {"readfirst --help": 0.3, "readfirst status": 0.7}  # seconds


def seconds(command: tuple[str, ...], folder: Path) -> float:
    """Of one process, from its start until it has ended."""
    begin = time.perf_counter()
    environment = os.environ | {"READFIRST_NODE__DATA": str(folder)}
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        open_ledger(Settings(node=Node(data=folder))).close()
        for command in COMMANDS.values():
            seconds(command, folder)  # files are in memory from here on
        taken = [{what: seconds(command, folder) for what, command in COMMANDS.items()} for _ in range(rounds)]
    for what in COMMANDS:
        times = [one[what] for one in taken]
        asked = f", asked {ASKED[what]}" if what in ASKED else ""
        print(f"{what:24} {statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f}){asked}")


if __name__ == "__main__":
    main()
