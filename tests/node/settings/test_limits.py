"""What one peer may take: more is refused, slowed down or ended, and nothing of it is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid
from pynetdicom import Association
from pynetdicom.sop_class import UnifiedProcedureStepPull, UnifiedProcedureStepPush, UnifiedProcedureStepWatch
from structlog.testing import capture_logs

from node.settings import Limits, Settings
from node.upperlayer import streaming
from tests.node.conftest import House
from tests.node.phantoms import INSTANCE, encoded, image, save
from tests.node.test_scp import CT, send
from tests.node.upperlayer.test_acceptor import (
    COMMAND,
    LAST,
    Caller,
    called,
    command,
    item,
    kept,
    left_behind,
)
from tests.node.worklist.scu import pushed
from tests.waiting import at_most, wait_until

Listen = Callable[[Settings], House]
Associate = Callable[..., Association]
MB = 1 << 20
PADDING = b"\xe1\x7f\x10\x10OB\x00\x00"  # (7FE1,1010), its length follows


@pytest.fixture
def limited(listen: Listen, settings: Settings) -> Callable[..., House]:
    def limited(**limits: float) -> House:
        return listen(settings.model_copy(update={"limits": Limits.model_validate(limits)}))

    return limited


def reasons(logs: Sequence[MutableMapping[str, Any]]) -> list[str]:
    return [log["reason"] for log in logs if "reason" in log]


def long(size: int, uid: str = INSTANCE) -> bytes:
    """A good Data Set of a little more than so many bytes."""
    return encoded(image(uid)) + PADDING + size.to_bytes(4, "little") + bytes(size)


def test_a_longer_instance_is_refused_while_it_comes_and_the_association_goes_on(limited: Callable[..., House]) -> None:
    house = limited(object_mb=1)
    dataset = long(2 * MB)
    with called(house) as caller, capture_logs() as logs:
        caller.pdu(4, item(command(), COMMAND | LAST) + item(dataset[: MB // 2], 0))
        wait_until(lambda: len(left_behind(house)) == 1)
        caller.pdu(4, item(dataset[MB // 2 : 2 * MB], 0))
        wait_until(lambda: not left_behind(house))  # though the rest has not come yet
        caller.pdu(4, item(dataset[2 * MB :], LAST))
        assert caller.status() == 0xA700
        caller.pdu(4, item(command(8), COMMAND | LAST) + item(encoded(image()), LAST))
        assert caller.status() == 0x0000
    assert reasons(logs) == ["the instance is longer than limits.object_mb = 1"]
    assert len(kept(house)) == 1


def test_a_peer_that_is_too_fast_is_read_later_and_loses_nothing(
    limited: Callable[..., House], associate: Associate, tmp_path: Path
) -> None:
    house = limited(mb_per_second=2)
    associations = [associate(house, CT) for _ in range(2)]
    start = time.monotonic()
    for number in range(4):  # over two associations: the limit is the peer's
        uid = f"{INSTANCE}.{number}"
        path = save(tmp_path / f"{number}", long(MB, uid), sop_instance_uid=uid)
        assert send(associations[number % 2], path) == 0x0000
    assert 0.9 < time.monotonic() - start < at_most(6)  # 4 MB at 2 MB/s, a second of it at once
    assert len(house.files) == 4


def test_instances_are_counted_too(limited: Callable[..., House], associate: Associate, tmp_path: Path) -> None:
    association = associate(limited(instances_per_second=5), CT)
    start = time.monotonic()
    for number in range(10):
        path = save(tmp_path / f"{number}", image(f"{INSTANCE}.{number}"))
        assert send(association, path) == 0x0000
    assert time.monotonic() - start > 0.9


def test_an_instance_that_takes_too_long_ends_its_association(limited: Callable[..., House]) -> None:
    house = limited(object_minutes=0.5 / 60)
    with called(house) as caller, capture_logs() as logs:
        caller.pdu(4, item(command(), COMMAND | LAST) + item(encoded(image())[:100], 0))
        trickle_until_closed(caller, item(b"\0", 0))
        wait_until(lambda: not left_behind(house) and len(logs) == 2)
    took_longer = "the instance took longer than limits.object_minutes = 0.00833333"
    assert [log["reason"] for log in logs] == ["the association ended before the instance was complete", took_longer]


def test_an_association_ends_when_its_time_is_over_but_not_within_an_instance(limited: Callable[..., House]) -> None:
    house = limited(association_hours=1.0 / 3600)
    dataset = encoded(image())
    with called(house) as caller, capture_logs() as logs:
        caller.pdu(4, item(command(), COMMAND | LAST) + item(dataset[:100], 0))
        time.sleep(1.1)
        caller.pdu(4, item(dataset[100:], LAST))
        assert caller.status() == 0x0000
        trickle_until_closed(caller, item(command(8), COMMAND | LAST))
    assert "limits.association_hours" in reasons(logs)[0]
    assert len(kept(house)) == 1


def trickle_until_closed(caller: Caller, body: bytes) -> None:
    """Whole PDUs, one now and then."""
    for _ in range(100):
        try:
            caller.pdu(4, body)
        except OSError:
            return
        caller.sock.settimeout(0.1)
        try:
            if caller.is_closed():
                return
        except TimeoutError:
            continue
    raise AssertionError("it was not closed")


def test_requests_that_nobody_waited_for_lie_at_the_peer(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own buffers fill up: we read no more before we have answered."""
    most = []
    put = streaming.StreamingLayer._read_pdu_data

    def counting(layer: streaming.StreamingLayer) -> None:
        most.append(layer.assoc.dimse.msg_queue.qsize())
        put(layer)

    monkeypatch.setattr(streaming.StreamingLayer, "_read_pdu_data", counting)
    said = command()
    with called(house) as caller:
        both = item(said[:30], COMMAND) + item(said[30:], COMMAND | LAST)
        for _ in range(200):
            caller.pdu(4, both + item(encoded(image()), LAST))
        assert {caller.status() for _ in range(200)} == {0x0000}
    assert max(most) < 16


def test_who_leaves_while_his_requests_wait_leaves_nothing(house: House) -> None:
    said = command()
    both = item(said[:30], COMMAND) + item(said[30:], COMMAND | LAST) + item(encoded(image()), LAST)
    with called(house) as caller:
        for _ in range(40):
            caller.pdu(4, both)
    wait_until(lambda: not [one for one in threading.enumerate() if "AcceptorThread" in one.name])


@pytest.mark.parametrize(
    ("rights", "may"),
    [
        ((), set()),
        (("read",), {"find", "get", "subscribe"}),
        (("change",), {"create", "set", "change state", "request cancel"}),
    ],
)
def test_each_service_of_the_worklist_asks_what_the_peer_may_do(
    listen: Listen, settings: Settings, associate: Associate, rights: tuple[str, ...], may: set[str]
) -> None:
    reader = settings.peers["reader"].model_copy(update={"worklist": rights})
    house = listen(settings.model_copy(update={"peers": settings.peers | {"reader": reader}}))
    contexts = ((uid, ImplicitVRLittleEndian) for uid in (PUSH, PULL, WATCH))
    association = associate(house, *contexts, calling="READER")
    with capture_logs() as logs:
        answers = asked(association)
    refused = {name for name, status in answers.items() if status == 0x0124}
    assert refused == answers.keys() - may
    hints = {log["reason"] for log in logs if log["event"] == "not authorized"}
    assert hints == {f'its table has no worklist = ["{right}"]' for right in {"read", "change"} - set(rights)}


PUSH, PULL, WATCH = UnifiedProcedureStepPush, UnifiedProcedureStepPull, UnifiedProcedureStepWatch


def asked(association: Association) -> dict[str, int]:
    """The status of each operation on a work item that may not be there."""
    uid, query = generate_uid(), Dataset()
    query.ProcedureStepState = ""
    change, subscribe, label = Dataset(), Dataset(), Dataset()
    change.ProcedureStepState, change.TransactionUID = "IN PROGRESS", generate_uid()
    subscribe.ReceivingAE, subscribe.DeletionLock = "READER", "FALSE"
    label.ProcedureStepLabel = "x"
    statuses = {
        "find": [status for status, _ in association.send_c_find(query, PULL)][-1],
        "create": association.send_n_create(pushed(), PUSH, uid)[0],
        "set": association.send_n_set(label, PUSH, uid, meta_uid=PULL)[0],
        "get": association.send_n_get([], PUSH, uid, meta_uid=PULL)[0],
        "change state": association.send_n_action(change, 1, PUSH, uid, meta_uid=PULL)[0],
        "request cancel": association.send_n_action(None, 2, PUSH, uid, meta_uid=PUSH)[0],
        "subscribe": association.send_n_action(subscribe, 3, PUSH, uid, meta_uid=WATCH)[0],
    }
    return {name: int(status.Status) for name, status in statuses.items()}
