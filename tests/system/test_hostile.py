"""A few inputs of every hostile kind beside a healthy study, with the node in 768 MB of address space.

`python -m tests.system.hostile` sends all of them and prints the table.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.field_data import FIELD, needs_field
from tests.system.hostile import files
from tests.system.hostile.attack import KINDS, Result, attack
from tests.system.hostile.held import CONDITIONS
from tests.system.hostile.kind import Answer, Row

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of what is wrong on purpose
_PATIENCE = 300.0  # seconds until the last study has ended, on a busy machine


@needs_field
def test_the_node_lives_each_input_ends_and_the_healthy_study_is_in_time(tmp_path: Path) -> None:
    result = attack(tmp_path / "site", [*KINDS, *files.field()], brief=True, patience=_PATIENCE)
    for row in result.rows:
        print(" | ".join(row.cells()))
    print(f"seconds before {result.usual}, during {result.beside}; {result.memory}")
    assert result.all_faults() == []
    assert {row.name for row in result.rows} >= {one.name for one in (*KINDS, *CONDITIONS)}


@needs_field
def test_every_case_of_the_field_is_sent_or_is_made_by_a_kind() -> None:
    """08 is a condition and 13 a kind of ours, since their programs cannot call another port."""
    left = {path.name for path in FIELD.iterdir() if path.is_dir()} - {
        kind.name.removeprefix("field ") for kind in files.field()
    }
    assert left == {"08-association-never-released", "13-ct-two-acquisitions-in-a-series"}


def test_what_is_slow_or_wrong_is_a_fault() -> None:
    good, bad = Answer("good", "0x0000"), Answer("bad", "0xC000", right=False)
    rows = [Row("kind", [good, bad], faults=["bad was answered 0xC000"])]
    assert Result([1.0, 2.0, 1.0], [7.9]).all_faults() == []
    assert Result([5.0], [9.9, 9.9, 90.0]).all_faults() == []
    assert Result([1.0], [8.1], rows).all_faults() == [
        "the healthy study takes 8.1 s, and must take at most 8.0 s", "kind: bad was answered 0xC000",
    ]  # fmt: skip
    assert pytest.approx(Result([5.0], [1.0]).limit) == 10.0
