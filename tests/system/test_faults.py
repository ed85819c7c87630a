"""Each fault of the table, tried a few times with real processes: nothing lost, nothing twice, nothing torn.

`python -m tests.system.faults` tries them more often and prints the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from node.ledger.engine import note
from node.ledger.tables import INSTANCE
from tests.system.faults import accounts, associations, clocks, disks, kills, peers, waits
from tests.system.faults.__main__ import FAULTS
from tests.system.faults.fault import Fault, Ground, Row, attempt
from tests.system.faults.house import House

SEED = 6
# What mostly waits is tried side by side; the faults of one lane follow each other and share a house where they may.
LANES = ((*kills.FAULTS, *waits.FAULTS), (*associations.FAULTS, *peers.FAULTS), disks.FAULTS, clocks.FAULTS)


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


def test_the_counting_sees_what_is_lost_twice_or_torn(tmp_path: Path) -> None:
    with House(tmp_path / "house") as house:
        study = house.patients.next()
        house.sender.push(study)
        assert accounts.count(house, [study]).right
        first, second, third, *_ = _files(house)
        first.write_bytes(first.read_bytes()[:-1] + b"?")
        second.unlink()
        third.with_name("1.2.dcm").write_bytes(third.read_bytes()[:-9])
        one, other = sorted(path for path in house.archive.folder.iterdir() if path.is_dir())[:2]
        (one / "0").touch()
        other.rename(other.with_name("1.2"))
        ledger = house.ledger()
        with ledger.write() as connection:
            note(connection, study[0].study_instance_uid, 0.0, "analysed", "generation 1")
        ledger.close()
        found = accounts.count(house, [study])
    assert len(found.torn) == 3, found.torn  # the first file twice: it is not what was sent, and nothing that was
    assert len(found.lost) == 2, found.lost
    assert len(found.duplicated) == 2, found.duplicated


def _files(house: House) -> list[Path]:
    ledger = house.ledger()
    with ledger.read() as connection:
        paths = [house.data / path for path in connection.execute(select(INSTANCE.c.path)).scalars()]
    ledger.close()
    return paths
