"""The one wait of the tests, for something that another thread or process does; and how long anything may take."""

from __future__ import annotations

import os
import time
from collections.abc import Callable


def wait_until(holds: Callable[[], object], otherwise: object = "", seconds: float = 60.0) -> None:
    """Wait until something holds.

    Raises
    ------
    AssertionError
        Not so after so many seconds; with `otherwise`, or with what it returns.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {seconds:g} s: {otherwise() if callable(otherwise) else otherwise}")
        time.sleep(0.01)


def at_most(seconds: float) -> float:
    """So many seconds on a machine that has a core for each process that runs; else as many times more as it lacks."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
