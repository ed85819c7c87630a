"""The statuses of the Unified Procedure Step SCP, each with its meaning and its place in the standard."""

from __future__ import annotations

from enum import IntEnum

from node.errors import ReadFirstError


class Status(IntEnum):
    """A DIMSE status; `meaning` is what the peer reads as Error Comment (0000,0902), LO, 64 characters."""

    meaning: str
    section: str

    def __new__(cls, code: int, meaning: str, section: str) -> Status:
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        member.section = section
        return member

    SUCCESS = 0x0000, "Success", "PS3.7 C.1"
    NOT_ALL_SUPPORTED = 0x0001, "Requested optional Attributes are not supported", "PS3.4 CC.2.6.4, CC.2.7.4"

    INVALID_ATTRIBUTE_VALUE = 0x0106, "Attribute not allowed here or value invalid", "PS3.7 C.5.10"
    PROCESSING_FAILURE = 0x0110, "Processing failure", "PS3.7 C.5.21"
    DUPLICATE_INSTANCE = 0x0111, "Duplicate SOP Instance", "PS3.7 C.5.8, PS3.4 CC.1.1"
    INVALID_ARGUMENT_VALUE = 0x0115, "Invalid argument value", "PS3.7 C.5.12"
    INVALID_INSTANCE = 0x0117, "Not a valid SOP Instance UID", "PS3.7 C.5.14"
    NO_SUCH_CLASS = 0x0118, "Not the UPS Push SOP Class", "PS3.7 C.5.21, PS3.4 CC.3.1"
    MISSING_ATTRIBUTE = 0x0120, "Missing Attribute", "PS3.7 C.5.15"
    MISSING_ATTRIBUTE_VALUE = 0x0121, "Missing Attribute Value", "PS3.7 C.5.16"
    CLASS_NOT_SUPPORTED = 0x0122, "SOP Class does not offer this operation", "PS3.4 CC.2.8.4"
    NO_SUCH_ACTION = 0x0123, "No such action in this SOP Class", "PS3.7 C.5.18"
    NOT_AUTHORIZED = 0x0124, "Not authorized", "PS3.7 C.5"
    UNRECOGNIZED_OPERATION = 0x0211, "SOP Class does not offer this operation", "PS3.7 C.5.24, PS3.4 CC.2"
    RESOURCE_LIMITATION = 0x0213, "Resource limitation, try again later", "PS3.7 C.5.26"

    OUT_OF_RESOURCES = 0xA700, "Out of resources, try again later", "PS3.4 CC.2.8.4"
    BAD_IDENTIFIER = 0xA900, "Identifier does not match SOP Class", "PS3.4 CC.2.8.4"
    UNABLE_TO_PROCESS = 0xC000, "Identifier cannot be understood", "PS3.4 CC.2.8.4"
    CANCELLED_FIND = 0xFE00, "Matching terminated by C-CANCEL", "PS3.4 CC.2.8.4"
    PENDING = 0xFF00, "Match supplied", "PS3.4 CC.2.8.4"
    PENDING_WITH_UNSUPPORTED = 0xFF01, "Match supplied, an optional key is not supported", "PS3.4 CC.2.8.4"

    CREATED_WITH_MODIFICATIONS = 0xB300, "The UPS was created with modifications", "PS3.4 CC.2.5.4"
    LOCK_NOT_GRANTED = 0xB301, "Deletion Lock not granted", "PS3.4 CC.2.3.4"
    ALREADY_CANCELED = 0xB304, "The UPS is already CANCELED", "PS3.4 CC.2.1.4, CC.2.2.4"
    COERCED = 0xB305, "Coerced invalid values to valid values", "PS3.4 CC.2.6.4"  # never: we refuse those
    ALREADY_COMPLETED = 0xB306, "The UPS is already COMPLETED", "PS3.4 CC.2.1.4"

    NO_LONGER_UPDATABLE = 0xC300, "The UPS may no longer be updated", "PS3.4 CC.2.1.4, CC.2.6.4"
    WRONG_TRANSACTION = 0xC301, "The correct Transaction UID was not provided", "PS3.4 CC.2.1.4, CC.2.6.4"
    ALREADY_IN_PROGRESS = 0xC302, "The UPS is already IN PROGRESS", "PS3.4 CC.2.1.4"
    ONLY_CREATED_SCHEDULED = 0xC303, "The UPS may only become SCHEDULED via N-CREATE", "PS3.4 CC.2.1.4"
    FINAL_STATE_NOT_MET = 0xC304, "Final state requirements not met", "PS3.4 CC.2.1.4, CC.2.5.1.1"
    NO_SUCH_UPS = 0xC307, "No such UPS managed by this SCP", "PS3.4 CC.2.1.4, CC.2.6.4, CC.2.7.4"
    UNKNOWN_RECEIVER = 0xC308, "Receiving AE Title is unknown to this SCP", "PS3.4 CC.2.3.4"
    NOT_SCHEDULED = 0xC309, "The provided value of UPS State was not SCHEDULED", "PS3.4 CC.2.5.4"
    NOT_IN_PROGRESS = 0xC310, "The UPS is not in the IN PROGRESS state", "PS3.4 CC.2.1.4, CC.2.6.4"
    IS_COMPLETED = 0xC311, "The UPS is already COMPLETED", "PS3.4 CC.2.2.4"
    PERFORMER_UNREACHABLE = 0xC312, "The performer cannot be contacted", "PS3.4 CC.2.2.4"
    PERFORMER_REFUSES = 0xC313, "Performer chooses not to cancel", "PS3.4 CC.2.2.4"  # never: we perform nothing
    ACTION_NOT_APPROPRIATE = 0xC314, "Action not appropriate for this instance", "PS3.4 CC.2.3.4"
    NO_EVENT_REPORTS = 0xC315, "SCP does not support Event Reports", "PS3.4 CC.2.3.4"  # never: it does

    @property
    def failed(self) -> bool:
        """Whether the operation was refused: neither success, warning nor pending (PS3.7 C)."""
        return not (self in (0x0000, 0x0001, 0xFE00, 0xFF00, 0xFF01) or 0xB000 <= self <= 0xBFFF)


class UpsRefused(ReadFirstError):
    """An operation on a work item was refused; `keyword` names the attribute at fault, if there is one."""

    status: Status

    def __init__(self, status: Status, keyword: str = "") -> None:
        super().__init__(f"{status.meaning}: {keyword}" if keyword else status.meaning)
        self.status = status
        self.keyword = keyword
