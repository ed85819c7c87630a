from __future__ import annotations

import os
from pathlib import Path

import pytest

from node.predicting.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "predict")
    made.prepare()
    return made


def given(spool: Spool) -> str:
    name = spool.new()
    spool.incoming(name).write_bytes(b"pixels")
    return name


def left(spool: Spool) -> list[str]:
    return sorted(path.name for path in spool.folder.iterdir())


def test_a_file_is_taken_once_answered_and_forgotten(spool: Spool) -> None:
    name = given(spool)
    assert spool.is_waiting(name)
    taken = spool.take(name)
    assert taken is not None and taken.read_bytes() == b"pixels"
    assert spool.take(name) is None and not spool.is_waiting(name)
    assert spool.answered(name) is None
    spool.answer(name, 422, '{"error": "Größe\\n"}')
    assert spool.answered(name) == (422, '{"error": "Größe\\n"}'.encode())
    spool.forget(name)
    assert left(spool) == []


def test_an_answer_that_nobody_waits_for_leaves_nothing(spool: Spool) -> None:
    name = given(spool)
    spool.take(name)
    spool.forget(name)
    spool.answer(name, 200, "{}")
    assert left(spool) == []


def test_what_a_killed_process_left_goes_by_age_and_at_the_start(spool: Spool) -> None:
    old, new = given(spool), given(spool)
    os.utime(spool.incoming(old), (1000, 1000))
    spool.sweep(older_than=2000)
    assert left(spool) == [f"{new}.in"]
    Spool(spool.folder).prepare()
    assert left(spool) == []


@pytest.mark.parametrize("name", ["", "../ledger", "0" * 31, "0" * 33, "A" * 32, "0" * 31 + "/"])
def test_no_other_name_leads_anywhere(spool: Spool, name: str) -> None:
    for does in (spool.take, spool.incoming, spool.forget, spool.answered):
        with pytest.raises(ValueError, match="no name of the spool"):
            does(name)
