"""The reading worklist: work items, their Unified Procedure Step SCP, and the priority policy."""

from node.worklist.items import Row, as_json, as_line, ensure_item, listing, raise_priority, say, set_ready
from node.worklist.policy import Decision, Priority, Source, Triage, decide
from node.worklist.reading import Station, reading_uid

__all__ = [
    "Decision",
    "Priority",
    "Row",
    "Source",
    "Station",
    "Triage",
    "as_json",
    "as_line",
    "decide",
    "ensure_item",
    "listing",
    "raise_priority",
    "reading_uid",
    "say",
    "set_ready",
]
