"""Prints the structure of a tree as a Markdown table; two trees beside each other with `--tree A --tree B`."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from tests.structure import counts


def figures(tree: Path, *, run: bool) -> dict[str, str]:
    """Row to its value."""
    rows = {f"{name}/: folders, files": "{}, {}".format(*both) for name, both in counts.entries(tree).items()}
    lines = counts.lines(tree)
    rows |= {f"lines of Python in {name}/": f"{count:,}" for name, count in lines.items()}
    rows["lines of Python"] = f"{sum(lines.values()):,}"
    circles = counts.cycles(tree)
    rows["circles of folders or files"] = str(len(circles))
    rows["in them"] = str(sum(map(len, circles)))
    queues = counts.queues(tree)
    rows["durable queues"] = f"{len(queues)} ({', '.join(queues)})"
    private = counts.private(tree)
    rows["accesses to private parts of pynetdicom"] = ", ".join(f"{name} {count}" for name, count in private.items())
    if run:
        from tests.structure.walks import walks

        with tempfile.TemporaryDirectory() as folder:
            for name, files in walks(tree.resolve(), Path(folder)).items():
                rows[f"files that {name} passes"] = str(len(files))
                print(json.dumps({name: files}))
    return rows


def main() -> None:
    """Measure each tree and print one table."""
    parser = argparse.ArgumentParser(prog="python -m tests.structure", description=__doc__)
    parser.add_argument("--tree", action="append", type=Path, help="a checkout; may be given again (default: this one)")
    parser.add_argument("--static", action="store_true", help="without the walks, which start a node")
    given = parser.parse_args()
    trees = given.tree or [Path.cwd()]
    found = [figures(tree, run=not given.static) for tree in trees]
    print("| |", " | ".join(str(tree) for tree in trees), "|")
    print("| --- |", " | ".join("---" for _ in trees), "|")
    for row in dict.fromkeys(row for one in found for row in one):
        print(f"| {row} |", " | ".join(one.get(row, "") for one in found), "|")


if __name__ == "__main__":
    main()
