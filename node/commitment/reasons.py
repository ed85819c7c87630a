"""Why an instance is not committed: the values of Failure Reason (0008,1197), PS3.3 C.14.1.1."""

from __future__ import annotations

from enum import IntEnum


class Reason(IntEnum):
    """Failure Reason (0008,1197) of an instance that is not committed."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119
    CLASS_NOT_SUPPORTED = 0x0122
    DUPLICATE_TRANSACTION = 0x0131
    RESOURCE_LIMITATION = 0x0213


_MEANINGS = {
    Reason.PROCESSING_FAILURE: "processing failure",
    Reason.NO_SUCH_INSTANCE: "no such object instance",
    Reason.CLASS_INSTANCE_CONFLICT: "class and instance conflict",
    Reason.CLASS_NOT_SUPPORTED: "SOP class not supported",
    Reason.DUPLICATE_TRANSACTION: "duplicate Transaction UID",
    Reason.RESOURCE_LIMITATION: "resource limitation",
}


def sentence(reason: int) -> str:
    """The reason for people, with its number."""
    meaning = {int(known): words for known, words in _MEANINGS.items()}.get(reason, "a reason of its own")
    return f"the peer does not commit to it: {meaning} (0x{reason:04X})"
