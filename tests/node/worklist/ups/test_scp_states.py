from __future__ import annotations

from collections.abc import Callable

import pytest
from pydicom import Dataset
from pynetdicom import Association

from tests.node.worklist.scu import (
    LOCK,
    OTHER,
    PUSH,
    act,
    get,
    performed,
    pushed,
    reach,
    set_values,
)

Scp = Callable[[], Association]

STATES = ("none", "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED")
# PS3.4 Table CC.1.1-2, each cell tried on the wire; transitions to a final state without its requirements give 0xC304.
ON_THE_WIRE = [
    ("IN PROGRESS", LOCK, (0xC307, 0x0000, 0xC302, 0xC300, 0xC300)),
    ("IN PROGRESS", None, (0xC307, 0xC301, 0xC301, 0xC301, 0xC301)),
    ("SCHEDULED", LOCK, (0xC307, 0xC303, 0xC303, 0xC303, 0xC303)),
    ("COMPLETED", LOCK, (0xC307, 0xC310, 0xC304, 0xB306, 0xC300)),
    ("COMPLETED", None, (0xC307, 0xC301, 0xC301, 0xC301, 0xC301)),
    ("CANCELED", LOCK, (0xC307, 0xC310, 0xC304, 0xC300, 0xB304)),
    ("CANCELED", None, (0xC307, 0xC301, 0xC301, 0xC301, 0xC301)),
]


@pytest.mark.parametrize("index", range(5), ids=STATES)
def test_change_state_in_every_state(scp: Scp, index: int) -> None:
    association = scp()
    for wanted, transaction, statuses in ON_THE_WIRE:
        uid = reach(association, STATES[index])
        assert act(association, uid, wanted, transaction) == statuses[index], (wanted, transaction)


@pytest.mark.parametrize("state", ["IN PROGRESS", "COMPLETED", "CANCELED"])
def test_another_transaction_uid_changes_nothing(scp: Scp, state: str) -> None:
    association = scp()
    uid = reach(association, state)
    for wanted in ("IN PROGRESS", "COMPLETED", "CANCELED"):
        assert act(association, uid, wanted, OTHER) == 0xC301
    assert get(association, uid, "ProcedureStepState").ProcedureStepState == state


@pytest.mark.parametrize(("state", "status"), list(zip(STATES, (0x0000, 0x0111, 0x0111, 0x0111, 0x0111), strict=True)))
def test_create_in_every_state(scp: Scp, state: str, status: int) -> None:
    association = scp()
    answer, _ = association.send_n_create(pushed(), PUSH, reach(association, state))
    assert answer.Status == status


@pytest.mark.parametrize(("state", "status"), list(zip(STATES, (0xC307, 0x0000, 0xC312, 0xC311, 0xB304), strict=True)))
def test_request_cancel_in_every_state(scp: Scp, state: str, status: int) -> None:
    association = scp()
    uid = reach(association, state)
    reason = Dataset()
    reason.ReasonForCancellation = "ordered twice"
    answer, _ = association.send_n_action(reason, 2, PUSH, uid)
    assert answer.Status == status
    if state == "SCHEDULED":
        item = get(association, uid)
        assert item.ProcedureStepState == "CANCELED"
        progress = item.ProcedureStepProgressInformationSequence[0]
        assert progress.ReasonForCancellation == "ordered twice"
        assert progress.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110513"
        assert progress.ProcedureStepCancellationDateTime


@pytest.mark.parametrize(("state", "status"), list(zip(STATES, (0xC307, 0x0000, 0xC301, 0xC300, 0xC300), strict=True)))
def test_set_without_a_transaction_uid(scp: Scp, state: str, status: int) -> None:
    association = scp()
    uid = reach(association, state)
    change = Dataset()
    change.ScheduledProcedureStepPriority = "HIGH"
    assert set_values(association, uid, change) == status


@pytest.mark.parametrize(("state", "status"), list(zip(STATES, (0xC307, 0xC310, 0x0000, 0xC300, 0xC300), strict=True)))
def test_set_with_the_transaction_uid(scp: Scp, state: str, status: int) -> None:
    association = scp()
    uid = reach(association, state)
    change = Dataset()
    change.ScheduledProcedureStepPriority = "HIGH"
    assert set_values(association, uid, change, LOCK) == status


def test_set_with_another_transaction_uid(scp: Scp) -> None:
    association = scp()
    uid = reach(association, "IN PROGRESS")
    assert set_values(association, uid, performed(), OTHER) == 0xC301
    assert not get(association, uid).UnifiedProcedureStepPerformedProcedureSequence
