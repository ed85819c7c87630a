"""Where the command `readfirst` begins: `send` does not wait until everything else is imported."""

from __future__ import annotations

import sys
from collections.abc import Callable

from node.errors import ReadFirstError


def main() -> None:
    """Entry point."""
    if sys.argv[1:2] == ["send"]:
        from node.sending.command import app  # noqa: PLC0415

        run(app)
    else:
        from node.cli import main as everything  # noqa: PLC0415

        everything()


def run(app: Callable[[], None]) -> None:
    """Run a command; an expected error is one sentence and exit 1."""
    try:
        app()
    except ReadFirstError as error:
        print(f"readfirst: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
