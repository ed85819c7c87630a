"""The data folder is one node's, and everybody who writes into it leaves `node.min_free_mb` free."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pynetdicom import AE
from sqlalchemy import Table, func, select

from node.audit import Recorder
from node.data_folder import SpaceGuard, held
from node.errors import ConfigurationError, OutOfResources
from node.ledger.engine import Ledger, open_ledger
from node.ledger.tables import IMAGING_ORDER, JOB, WORK_ITEM
from node.settings import Audit, Node, Orders, Settings
from node.worklist.items.json_model import from_dataset
from node.worklist.items.statuses import Status, UpsRefused
from node.worklist.orders.listener import OrderReceiver
from node.worklist.ups import operations, scp
from tests.node.worklist.orders.test_listener import OMG, fill
from tests.node.worklist.scu import LOCK, NOW, PUSH, STATION, act, discontinued, pushed, set_values

HOLD = (
    "import sys, time; from pathlib import Path; from node.data_folder import held\n"
    "with held(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
)


def test_a_second_node_on_one_data_folder_is_refused_until_the_first_is_gone_or_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(ConfigurationError, match="another ReadFirst node runs on the data folder"), held(tmp_path):
            pass
        first.send_signal(signal.SIGKILL)
    with held(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"node\.data"), held(tmp_path / "none"):
        pass


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Ledger, Settings]]:
    """A ledger on a disk that has no more room to spare."""
    audit = Audit(sinks=("file",))
    settings = Settings(node=Node(data=tmp_path, min_free_mb=shutil.disk_usage(tmp_path).total >> 19), audit=audit)
    with closing(open_ledger(settings)) as ledger:
        yield ledger, settings


def count(ledger: Ledger, table: Table) -> int:
    with ledger.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_a_full_disk_and_one_that_is_gone_are_out_of_resources(tmp_path: Path) -> None:
    SpaceGuard(tmp_path, 0).check()
    with pytest.raises(OutOfResources, match=r"node\.min_free_mb"):
        SpaceGuard(tmp_path, shutil.disk_usage(tmp_path).total + (1 << 20)).check()
    with pytest.raises(OutOfResources, match="cannot be used"):
        SpaceGuard(tmp_path / "none", 0).check()


def test_work_items_are_not_added_to_a_full_disk_but_those_that_are_there_are_worked_off(
    full: tuple[Ledger, Settings],
) -> None:
    ledger, _ = full
    with ledger.write() as connection:
        operations.create(connection, "1.2.3", from_dataset(pushed())[0], STATION, NOW)
    ae, contexts = AE("RIS"), scp.contexts()
    ae.supported_contexts = ae.requested_contexts = contexts
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=scp.handlers(ledger, STATION))
    try:
        association = ae.associate(*server.server_address[:2])
        status, _ = association.send_n_create(pushed(), PUSH, "1.2.4")
        assert status.Status == 0x0213
        assert set_values(association, "1.2.3", discontinued()) == 0x0213
        assert act(association, "1.2.3", "IN PROGRESS", LOCK) == 0x0000
        association.release()
    finally:
        ae.shutdown()
    assert count(ledger, WORK_ITEM) == 1


def test_orders_are_sent_again_later(full: tuple[Ledger, Settings]) -> None:
    ledger, _ = full
    (answer,) = OrderReceiver(Orders(), ledger).receive(fill(OMG).encode())
    assert b"MSA|AE|M1" in answer
    assert count(ledger, IMAGING_ORDER) == 0


def test_audit_messages_wait_in_memory_and_are_kept_when_there_is_room(full: tuple[Ledger, Settings]) -> None:
    ledger, settings = full
    recorder = Recorder(settings, ledger)
    recorder.stopped()
    assert count(ledger, JOB) == 0
    ledger._space = None
    recorder.flush()
    assert count(ledger, JOB) == 1


def test_a_peer_has_a_quota_of_work_items(ledger: Ledger) -> None:
    given, _ = from_dataset(pushed())
    with ledger.write() as connection:
        for uid, name in (("1.1", "RIS"), ("1.2", "RIS"), ("1.3", "OTHER")):
            operations.create(connection, uid, dict(given), STATION, NOW, operations.Pusher(name, 2))
        with pytest.raises(UpsRefused) as refused:
            operations.create(connection, "1.4", dict(given), STATION, NOW, operations.Pusher("RIS", 2))
    assert refused.value.status is Status.RESOURCE_LIMITATION
