from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node.errors import ConfigurationError
from node.privacy import close_to_others, is_open


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_the_data_folder_and_what_is_made_in_it_are_for_us_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    close_to_others(data)
    (data / "file").write_text("")
    assert [path.stat().st_mode & 0o777 for path in (data, data / "file")] == [0o700, 0o600]
    assert not is_open(data)


def test_a_folder_that_is_there_already_stays_as_it_is_and_is_warned_of(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    with capture_logs() as logs:
        close_to_others(data)
    (data / "instances").mkdir()
    assert [path.stat().st_mode & 0o777 for path in (data, data / "instances")] == [0o755, 0o700]
    assert [line["log_level"] for line in logs] == ["warning"]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"node\.data"):
        close_to_others(tmp_path / "file" / "data")
