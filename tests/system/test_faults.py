"""Each fault of the table, tried a few times with real processes: nothing lost, nothing twice, nothing torn.

`python -m tests.system.faults` tries them more often and prints the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.system.faults import associations, clocks, disks, kills, peers, waits
from tests.system.faults.__main__ import FAULTS
from tests.system.faults.fault import Fault, Ground, Row, attempt

SEED = 6
# What mostly waits is tried side by side; the faults of one lane follow each other and share a house where they may.
LANES = (kills.FAULTS, (*associations.FAULTS, *peers.FAULTS), (*disks.FAULTS, *waits.FAULTS), clocks.FAULTS)


def _lane(faults: tuple[Fault, ...], folder: Path) -> dict[str, Row]:
    with closing(Ground(folder, brief=True)) as ground:
        return {fault.name: attempt(fault, ground, fault.few, SEED) for fault in faults}


@pytest.fixture(scope="module")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[dict[str, Row]]]]:
    """By the fault's name, the rows of its lane."""
    folder = tmp_path_factory.mktemp("faults")
    with ThreadPoolExecutor(len(LANES)) as pool:
        rows = [pool.submit(_lane, faults, folder / str(number)) for number, faults in enumerate(LANES)]
        yield {fault.name: found for faults, found in zip(LANES, rows, strict=True) for fault in faults}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_nothing_is_lost_nothing_twice_nothing_torn(fault: Fault, lanes: dict[str, Future[dict[str, Row]]]) -> None:
    row = lanes[fault.name].result()[fault.name]
    if row.unavailable:
        pytest.skip(row.unavailable)
    assert list(row.accounts.wrongs) == []
    assert row.right
    assert row.accounts.answered >= row.tries


def test_the_command_makes_every_fault() -> None:
    assert {fault.name for faults in LANES for fault in faults} == {fault.name for fault in FAULTS}
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
