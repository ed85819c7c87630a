from __future__ import annotations

import pytest

from node import logs
from tests.node.conftest import ledger  # noqa: F401  # a fixture


@pytest.fixture(autouse=True)
def as_in_production(own_logging: None) -> None:
    """pydicom and pynetdicom say nothing of what they meet: it would quote the peer."""
    logs.configure()
