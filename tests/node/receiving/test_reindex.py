from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import Association
from sqlalchemy import select

from node.entities import LOW, MEDIUM, StudyState
from node.errors import ConfigurationError
from node.ledger import studies
from node.ledger.backup import back_up
from node.ledger.engine import Ledger, open_ledger, sqlite_url
from node.ledger.tables import INSTANCE, RESULT, STUDY
from node.receiving.reindex import Reindexed, reindex
from node.settings import Settings
from tests.node.conftest import House
from tests.node.phantoms import INSTANCE as FIRST
from tests.node.phantoms import STUDY as UID
from tests.node.phantoms import claim, encoded, image, part10, save

CT = "1.2.840.10008.5.1.4.1.1.2"
Columns = tuple[str, ...]
COLUMNS = (
    "sop_instance_uid", "sop_class_uid", "series_instance_uid", "study_instance_uid", "transfer_syntax_uid", "path",
    "sha256", "size", "calling_ae_title", "generation", "conflict",
)  # fmt: skip


def rows(ledger: Ledger) -> list[tuple[object, ...]]:
    with ledger.read() as connection:
        query = select(*(INSTANCE.c[name] for name in COLUMNS)).order_by(INSTANCE.c.path)
        return [tuple(row) for row in connection.execute(query)]


def study(ledger: Ledger, uid: str = UID) -> tuple[str, int, int]:
    with ledger.read() as connection:
        row = connection.execute(select(STUDY).where(STUDY.c.study_instance_uid == uid)).one()
        return row.state, row.generation, row.sent_rank


@pytest.fixture
def push(house: House, associate: Callable[..., Association], tmp_path: Path) -> Callable[..., None]:
    association = associate(house, (CT, ExplicitVRLittleEndian))

    def push(sop_instance_uid: str = FIRST, **changes: object) -> None:
        path = save(tmp_path / "sent", image(sop_instance_uid, **changes))
        assert association.send_c_store(path).Status == 0

    return push


def lose(settings: Settings, ledger: Ledger) -> None:
    ledger.close()
    for path in settings.node.data.glob("ledger.sqlite*"):
        path.unlink()


def test_a_lost_ledger_stops_the_start_and_is_made_again_from_the_files(
    settings: Settings, ledger: Ledger, push: Callable[..., None]
) -> None:
    push()
    push("1.2.3.1")
    push("1.2.3.1", PatientID="ANOTHER")  # the same UID with other content: kept beside
    push("1.2.3.2", StudyInstanceUID="1.2.4")
    before = rows(ledger)
    lose(settings, ledger)
    with pytest.raises(ConfigurationError, match="readfirst reindex"):
        open_ledger(settings)
    assert not (settings.node.data / "ledger.sqlite").exists()
    (settings.node.data / "ledger.sqlite").touch()  # an empty one is none, either
    with pytest.raises(ConfigurationError, match="readfirst reindex"):
        open_ledger(settings)
    with closing(open_ledger(settings, reindexing=True)) as made:
        assert reindex(made, settings.node.data) == Reindexed(studies=2, instances=4)
        assert rows(made) == before
        assert study(made) == (StudyState.RECEIVING, 1, MEDIUM)
        assert reindex(made, settings.node.data) == Reindexed()
    open_ledger(settings).close()


def test_a_restored_ledger_learns_of_what_arrived_after_the_backup(
    settings: Settings, ledger: Ledger, push: Callable[..., None], tmp_path: Path
) -> None:
    push()
    with ledger.write() as connection:
        claim(connection, now=2e10)
    back_up(ledger, tmp_path / "copy")
    push("1.2.3.1")
    push("1.2.3.2", StudyInstanceUID="1.2.3")
    before = rows(ledger)
    lose(settings, ledger)
    shutil.copy(tmp_path / "copy", tmp_path / "ledger.sqlite")
    with closing(open_ledger(settings)) as restored:
        assert len(rows(restored)) == 1
        assert reindex(restored, settings.node.data) == Reindexed(studies=2, instances=2)
        assert rows(restored) == before
        assert study(restored)[:2] == (StudyState.RECEIVING, 2)  # late images, as if they arrived now
        assert study(restored, "1.2.3")[:2] == (StudyState.RECEIVING, 1)


def test_results_of_ours_are_known_again_and_not_analysed(
    settings: Settings, ledger: Ledger, push: Callable[..., None]
) -> None:
    push()
    push("2.25.7")  # what a peer sent back of ours
    results = settings.node.data / "results" / UID
    results.mkdir(parents=True)
    (results / "2.25.7.dcm").write_bytes(part10(encoded(image("2.25.7")), sop_instance_uid="2.25.7"))
    (results / "2.25.8.dcm").write_bytes(b"torn")
    lose(settings, ledger)
    with closing(open_ledger(settings, reindexing=True)) as made:
        assert reindex(made, settings.node.data) == Reindexed(studies=1, instances=2, results=1)
        assert study(made) == (StudyState.RECEIVING, 1, LOW)  # behind those that nobody has analysed yet
        with made.read() as connection:
            (waiting,) = studies.receiving(connection)
            assert waiting["instances"] == 1
            assert connection.execute(select(RESULT.c.path)).scalars().all() == [f"results/{UID}/2.25.7.dcm"]


def test_what_cannot_be_read_or_lies_elsewhere_is_listed_and_left(
    settings: Settings, ledger: Ledger, push: Callable[..., None]
) -> None:
    push()
    (path,) = (settings.node.data / "instances").glob("*/*/*.dcm")
    (path.parent / "torn.dcm").write_bytes(path.read_bytes()[:200])
    shutil.copy(path, path.parent / "1.2.dcm")
    lose(settings, ledger)
    with closing(open_ledger(settings, reindexing=True)) as made:
        done = reindex(made, settings.node.data)
    assert (done.instances, [Path(name).name for name, _ in done.unreadable]) == (1, ["1.2.dcm", "torn.dcm"])
    assert "another instance" in {Path(name).name: why for name, why in done.unreadable}["1.2.dcm"]
    assert (path.parent / "torn.dcm").exists()


def test_instances_without_a_file_are_counted(settings: Settings, ledger: Ledger, push: Callable[..., None]) -> None:
    push()
    shutil.rmtree(settings.node.data / "instances")
    assert reindex(ledger, settings.node.data) == Reindexed(missing=1)


def test_a_new_data_folder_needs_no_reindex(tmp_path: Path) -> None:
    ledger = Ledger(sqlite_url(tmp_path))
    assert ledger.is_new
    ledger.migrate()
    assert not ledger.is_new
    ledger.close()
