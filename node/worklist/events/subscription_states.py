"""The subscription states of a work item, and what each action does to them (PS3.4 CC.2.3). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

GLOBAL_SUBSCRIPTION = "1.2.840.10008.5.1.4.34.5"  # PS3.4 CC.3.1.2
FILTERED_GLOBAL_SUBSCRIPTION = "1.2.840.10008.5.1.4.34.5.1"


class Watch(StrEnum):
    """UPS Subscription State of a subscriber and a work item."""

    NONE = "Not Subscribed"
    LOCKED = "Subscribed with Lock"
    UNLOCKED = "Subscribed w/o Lock"


class Cause(StrEnum):
    """What changes the state: a row of the table. `subscribe` and the others name the actions on one work item."""

    CREATED = "a UPS is created, no Global Subscription"
    CREATED_LOCKED = "a UPS is created, Global Subscription with Lock"
    CREATED_UNLOCKED = "a UPS is created, Global Subscription w/o Lock"
    SUBSCRIBE_ALL_LOCKED = "AE subscribes globally with Lock"
    SUBSCRIBE_ALL_UNLOCKED = "AE subscribes globally w/o Lock"
    SUBSCRIBE_LOCKED = "AE subscribes to specific UPS with Lock"
    SUBSCRIBE_UNLOCKED = "AE subscribes to specific UPS without Lock"
    UNSUBSCRIBE = "AE unsubscribes from specific UPS"
    UNSUBSCRIBE_ALL = "AE unsubscribes globally"
    SUSPEND_ALL = "AE suspends Global Subscription"


@dataclass(frozen=True, slots=True)
class Step:
    """A cell: the state from then on, and whether the work item's state is reported to the subscriber at once."""

    to: Watch
    report: bool = False


_OFF, _STAY_LOCKED, _STAY_UNLOCKED = Step(Watch.NONE), Step(Watch.LOCKED), Step(Watch.UNLOCKED)
_LOCKED, _UNLOCKED = Step(Watch.LOCKED, report=True), Step(Watch.UNLOCKED, report=True)

# PS3.4 Table CC.2.3-2. Columns: Not Subscribed (a new work item: null), Subscribed with Lock, Subscribed w/o Lock.
# Subscribing globally with Lock also reports what is subscribed already: CC.2.4.3, "for every UPS Instance managed".
STEPS: Mapping[Cause, tuple[Step, Step, Step]] = {
    Cause.CREATED: (_OFF, _STAY_LOCKED, _STAY_UNLOCKED),
    Cause.CREATED_LOCKED: (_LOCKED, _STAY_LOCKED, _STAY_UNLOCKED),
    Cause.CREATED_UNLOCKED: (_UNLOCKED, _STAY_LOCKED, _STAY_UNLOCKED),
    Cause.SUBSCRIBE_ALL_LOCKED: (_LOCKED, _LOCKED, _UNLOCKED),
    Cause.SUBSCRIBE_ALL_UNLOCKED: (_STAY_UNLOCKED, _STAY_LOCKED, _STAY_UNLOCKED),
    Cause.SUBSCRIBE_LOCKED: (_LOCKED, _LOCKED, _LOCKED),
    Cause.SUBSCRIBE_UNLOCKED: (_UNLOCKED, _UNLOCKED, _UNLOCKED),
    Cause.UNSUBSCRIBE: (_OFF, _OFF, _OFF),
    Cause.UNSUBSCRIBE_ALL: (_OFF, _OFF, _OFF),
    Cause.SUSPEND_ALL: (_OFF, _STAY_LOCKED, _STAY_UNLOCKED),
}


def step(cause: Cause, current: Watch) -> Step:
    """The cell of Table CC.2.3-2."""
    return STEPS[cause][tuple(Watch).index(current)]
