from __future__ import annotations

import pytest

from node.worklist.items.states import TRANSITIONS, Request, State, change_request, refusal_to_set, transition

S, P, D, C = State.SCHEDULED, State.IN_PROGRESS, State.COMPLETED, State.CANCELED

# PS3.4 Table CC.1.1-2 once more, as printed: null, SCHEDULED, IN PROGRESS, COMPLETED, CANCELED.
# A state in a cell is a change to it.
PRINTED: dict[Request, tuple[State | int, ...]] = {
    Request.CREATE: (S, 0x0111, 0x0111, 0x0111, 0x0111),
    Request.CLAIM: (0xC307, P, 0xC302, 0xC300, 0xC300),
    Request.CLAIM_WRONG: (0xC307, 0xC301, 0xC301, 0xC301, 0xC301),
    Request.RESCHEDULE: (0xC307, 0xC303, 0xC303, 0xC303, 0xC303),
    Request.COMPLETE: (0xC307, 0xC310, D, 0xB306, 0xC300),
    Request.COMPLETE_WRONG: (0xC307, 0xC301, 0xC301, 0xC301, 0xC301),
    Request.REQUEST_CANCEL: (0xC307, C, 0x0000, 0xC311, 0xB304),  # IN PROGRESS: only told to those who watch
    Request.CANCEL: (0xC307, 0xC310, C, 0xC300, 0xB304),
    Request.CANCEL_WRONG: (0xC307, 0xC301, 0xC301, 0xC301, 0xC301),
}


@pytest.mark.parametrize("request_", Request)
@pytest.mark.parametrize(("column", "current"), list(enumerate((None, S, P, D, C))))
def test_the_table_is_the_standards(request_, column, current):
    cell = transition(request_, current)
    printed = PRINTED[request_][column]
    assert (int(cell.status) if cell.state is None else cell.state) == printed
    if isinstance(printed, State):
        assert cell.status == 0x0000


def test_final_states_are_taken_from_in_progress_with_requirements():
    needing = {(request, index) for request, row in TRANSITIONS.items() for index, cell in enumerate(row) if cell.final}
    assert needing == {(Request.COMPLETE, 2), (Request.CANCEL, 2)}


@pytest.mark.parametrize(
    ("requested", "current", "recorded", "given", "row"),
    [
        (P, S, "", "1.2", Request.CLAIM),
        (P, S, "", "", Request.CLAIM_WRONG),
        (P, P, "1.2", "1.2", Request.CLAIM),
        (P, P, "1.2", "1.3", Request.CLAIM_WRONG),
        (P, None, "", "1.2", Request.CLAIM),
        (D, P, "1.2", "1.2", Request.COMPLETE),
        (D, P, "1.2", "", Request.COMPLETE_WRONG),
        (D, D, "1.2", "1.2", Request.COMPLETE),
        (C, C, "", "1.2", Request.CANCEL_WRONG),  # canceled on request: there never was a lock
        (C, C, "", "", Request.CANCEL_WRONG),
        (S, P, "1.2", "1.2", Request.RESCHEDULE),
        (S, P, "1.2", "", Request.RESCHEDULE),
    ],
)
def test_the_right_transaction_uid(requested, current, recorded, given, row):
    assert change_request(requested, current, recorded, given) is row


@pytest.mark.parametrize(
    ("current", "recorded", "given", "status"),
    [
        (None, "", "", 0xC307),
        (S, "", "", None),
        (S, "", "1.2", 0xC310),
        (P, "1.2", "1.2", None),
        (P, "1.2", "", 0xC301),
        (P, "1.2", "1.3", 0xC301),
        (D, "1.2", "1.2", 0xC300),
        (C, "1.2", "1.2", 0xC300),
    ],
)
def test_who_may_n_set(current, recorded, given, status):
    assert refusal_to_set(current, recorded, given) == status
