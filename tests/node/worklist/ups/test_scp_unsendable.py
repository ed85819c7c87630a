"""A row that an older version kept, and that no encoder takes, holds up neither C-FIND nor the event reports."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from pynetdicom import Association
from sqlalchemy import text
from structlog.testing import capture_logs

from node.ledger.engine import Ledger
from node.worklist.items.statuses import Status, UpsRefused
from node.worklist.ups.event_sender import EventSender
from node.worklist.ups.watch import act as watch_act
from tests.node.worklist.conftest import Monitor
from tests.node.worklist.scu import NOW, PULL, PUSH, WATCHING, create, find, watch

Scp = Callable[[], Association]
ALL = "1.2.840.10008.5.1.4.34.5"
TOO_LARGE = {"00741000": {"vr": "US", "Value": [70000]}}


def spoil(ledger: Ledger, uid: str) -> None:
    with ledger.write() as connection:
        connection.execute(
            text("UPDATE work_item SET attributes = json_set(attributes, '$.00280010', json(:entry))"
                 " WHERE sop_instance_uid = :uid"),
            {"uid": uid, "entry": json.dumps({"vr": "US", "Value": [70000]})},
        )  # fmt: skip


def test_a_find_passes_it_over_and_logs_it_once(scp: Scp, served: Ledger) -> None:
    association = scp()
    first, bad, last = (create(association) for _ in range(3))
    spoil(served, bad)
    with capture_logs() as logs:
        for _ in range(2):
            matches, status = find(association, SOPInstanceUID="", Rows=None)
            assert ([match.SOPInstanceUID for match in matches], status) == ([first, last], 0x0000)
    assert [line["sop_instance_uid"] for line in logs if "passed over" in line["event"]] == [bad]
    response, _ = association.send_n_get([], PUSH, bad, meta_uid=PULL)
    assert response.Status == 0x0110
    assert association.is_established


def test_an_event_that_cannot_be_sent_is_dropped_and_the_next_ones_arrive(
    scp: Scp, served: Ledger, notifier: EventSender, monitor: Monitor
) -> None:
    association = scp()
    assert watch(association, 3, ALL) == 0x0000
    create(association)
    with served.write() as connection:
        payload = json.dumps({"event_type": 1, "information": TOO_LARGE})
        connection.execute(text("UPDATE job SET payload = :payload"), {"payload": payload})
    uid = create(association)
    with capture_logs() as logs:
        notifier.serve(notifier.due(NOW + 1000)[0])
    assert [told for _, told, _ in monitor.wait_for(1)] == [uid]
    assert any("is dropped" in line["event"] for line in logs)


@pytest.mark.parametrize("action", [3, 4, 5])
def test_another_peers_subscription_is_not_changed_without_the_right(served: Ledger, action: int) -> None:
    given = {"00741234": {"vr": "AE", "Value": ["READER"]}, "00741230": {"vr": "LO", "Value": ["FALSE"]}}
    own, other, right = (lambda one: one == "READER"), (lambda one: one == "MONITOR"), (lambda _one: True)
    with served.write() as connection:
        assert watch_act(connection, 3, ALL, given, WATCHING, NOW, acts_for=other) is Status.SUCCESS  # a new one
        with pytest.raises(UpsRefused) as refused:
            watch_act(connection, action, ALL, given, WATCHING, NOW, acts_for=other)
        assert refused.value.status is Status.NOT_AUTHORIZED
        for acts_for in (right, own):
            assert watch_act(connection, action, ALL, given, WATCHING, NOW, acts_for=acts_for) is Status.SUCCESS
