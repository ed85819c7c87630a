"""Which events a change of a work item is (PS3.4 CC.2.4.3), with their Event Information (Table CC.2.4-1). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from node.worklist.items.json_model import Json, has_value, items, put, tag_of
from node.worklist.items.rows import Item

_CANCEL_REASONS = ("ReasonForCancellation", "ProcedureStepDiscontinuationReasonCodeSequence")
_CANCEL_REQUEST = (*_CANCEL_REASONS, "ContactURI", "ContactDisplayName")
_PROGRESS = "ProcedureStepProgressInformationSequence"
_PROGRESS_PARTS = (
    "ProcedureStepProgress", "ProcedureStepProgressDescription", "ProcedureStepCommunicationsURISequence",
)  # fmt: skip
_ASSIGNED = ("ScheduledStationNameCodeSequence", "ScheduledHumanPerformersSequence")
_PERFORMER = ("HumanPerformerCodeSequence", "HumanPerformerOrganization")


class EventType(IntEnum):
    """Event Type ID (0000,1002)."""

    STATE_REPORT = 1
    CANCEL_REQUESTED = 2
    PROGRESS_REPORT = 3
    SCP_STATUS_CHANGE = 4
    ASSIGNED = 5


@dataclass(frozen=True, slots=True)
class Event:
    """One event, before it is known who is notified of it."""

    type: EventType
    information: Json


def changes(before: Item | None, after: Item) -> tuple[Event, ...]:
    """The events of one change, in the order in which they are reported; `before` is None for a new work item.

    A change of priority is a UPS Progress Report: no event of the standard has the priority, so the reason is
    the Procedure Step Progress Description, and the Scheduled Procedure Step Priority is there in addition.
    """
    found = []
    if before is None or before.state is not after.state or _differs(before, after, "InputReadinessState"):
        found.append(state_report(after))
    if _is_assigned(before, after):
        found.append(Event(EventType.ASSIGNED, _assignment(after)))
    if before is not None and (before.priority is not after.priority or _progress(before) != _progress(after)):
        found.append(Event(EventType.PROGRESS_REPORT, _progress_report(after)))
    return tuple(found)


def state_report(item: Item) -> Event:
    """UPS State Report; also the first report to a new subscriber."""
    information: Json = {}
    put(information, "ProcedureStepState", item.state.value)
    _copy(item.attributes, information, ("InputReadinessState",))
    for progress in items(item.attributes, _PROGRESS)[:1]:
        _copy(progress, information, _CANCEL_REASONS)
    return Event(EventType.STATE_REPORT, dict(sorted(information.items())))


def cancel_requested(given: Json, requesting_ae_title: str) -> Event:
    """UPS Cancel Requested, with the reason and the contact of the request."""
    information: Json = {}
    put(information, "RequestingAE", requesting_ae_title)
    _copy(given, information, _CANCEL_REQUEST)
    return Event(EventType.CANCEL_REQUESTED, dict(sorted(information.items())))


def restarted(*, subscriptions_kept: bool, items_kept: bool) -> Event:
    """SCP Status Change: we are there again, and whether we remember."""
    information: Json = {}
    put(information, "SCPStatus", "RESTARTED")
    put(information, "SubscriptionListStatus", _start(kept=subscriptions_kept))
    put(information, "UnifiedProcedureStepListStatus", _start(kept=items_kept))
    return Event(EventType.SCP_STATUS_CHANGE, information)


def _start(*, kept: bool) -> str:
    return "WARM START" if kept else "COLD START"


def _differs(before: Item, after: Item, keyword: str) -> bool:
    tag = tag_of(keyword)
    return before.attributes.get(tag) != after.attributes.get(tag)


def _is_assigned(before: Item | None, after: Item) -> bool:
    if before is None:
        return any(has_value(after.attributes, keyword) for keyword in _ASSIGNED)
    return any(_differs(before, after, keyword) for keyword in _ASSIGNED)


def _assignment(item: Item) -> Json:
    information: Json = {}
    _copy(item.attributes, information, _ASSIGNED)
    for performer in items(item.attributes, _ASSIGNED[1])[:1]:
        _copy(performer, information, _PERFORMER)
    return dict(sorted(information.items()))


def _progress(item: Item) -> tuple[Json | None, ...]:
    found = items(item.attributes, _PROGRESS)
    return tuple(found[0].get(tag_of(keyword)) if found else None for keyword in _PROGRESS_PARTS)


def _progress_report(item: Item) -> Json:
    information: Json = {}
    put(information, _PROGRESS, *(items(item.attributes, _PROGRESS) or ({},)))
    put(information, "ScheduledProcedureStepPriority", item.priority.value)
    return information


def _copy(source: Json, target: Json, keywords: tuple[str, ...]) -> None:
    for keyword in keywords:
        if has_value(source, keyword):
            target[tag_of(keyword)] = source[tag_of(keyword)]
