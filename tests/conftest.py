"""What all tests share."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator

import pytest
import structlog
from pynetdicom import _config


def need(program: str, package: str) -> None:
    """Skip where a real peer is not installed; in CI that is a failure."""
    if shutil.which(program):
        return
    message = f"{program} is not installed (Debian: {package})"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def own_logging() -> Iterator[None]:
    """What `node.logs.configure` changes in this process is undone when the test ends."""
    identifiers = _config.LOG_REQUEST_IDENTIFIERS, _config.LOG_RESPONSE_IDENTIFIERS
    levels = {name: logging.getLogger(name).level for name in ("pydicom", "pynetdicom")}
    yield
    structlog.reset_defaults()
    _config.LOG_REQUEST_IDENTIFIERS, _config.LOG_RESPONSE_IDENTIFIERS = identifiers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
