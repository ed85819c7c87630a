from __future__ import annotations

import pytest

from node.worklist.events.subscription_states import Cause, Watch, step

N, L, U = Watch
# PS3.4 Table CC.2.3-2 as printed; +: an initial event. A new work item stands in the first column.
PRINTED = {
    Cause.CREATED: "N . .",
    Cause.CREATED_LOCKED: "L+ . .",
    Cause.CREATED_UNLOCKED: "U+ . .",
    Cause.SUBSCRIBE_ALL_LOCKED: "L+ L+ U+",  # + beyond the first: CC.2.4.3, "for every UPS Instance"
    Cause.SUBSCRIBE_ALL_UNLOCKED: "U L U",
    Cause.SUBSCRIBE_LOCKED: "L+ L+ L+",
    Cause.SUBSCRIBE_UNLOCKED: "U+ U+ U+",
    Cause.UNSUBSCRIBE: "N N N",
    Cause.UNSUBSCRIBE_ALL: "N N N",
    Cause.SUSPEND_ALL: "N L U",
}
LETTERS = {"N": N, "L": L, "U": U}


@pytest.mark.parametrize("cause", Cause)
def test_the_table_is_the_standards(cause: Cause) -> None:
    for current, cell in zip(Watch, PRINTED[cause].split(), strict=True):
        if cell != ".":
            found = step(cause, current)
            assert (found.to, found.report) == (LETTERS[cell[0]], cell.endswith("+")), current
