"""The one wait of the tests: for something that another thread or process does."""

from __future__ import annotations

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
