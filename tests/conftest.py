"""What all tests share."""

from __future__ import annotations

import os
import shutil

import pytest


def need(program: str, package: str) -> None:
    """Skip where a real peer is not installed; in CI that is a failure."""
    if shutil.which(program):
        return
    message = f"{program} is not installed (Debian: {package})"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
