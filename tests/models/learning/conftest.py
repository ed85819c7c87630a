from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.models import phantoms


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small sums are quickest, and the same each time, on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough to pretrain on."""
    return phantoms.write_folder(tmp_path_factory.mktemp("learning") / "few", train=24, validation=4)


@pytest.fixture(scope="package")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantoms.write_folder(tmp_path_factory.mktemp("learning") / "data", train=60, validation=20)
