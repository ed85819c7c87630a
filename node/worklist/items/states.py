"""The states of a Unified Procedure Step and what each request does to them (PS3.4 CC.1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from node.worklist.items.statuses import Status


class State(StrEnum):
    """Procedure Step State (0074,1000), PS3.4 Table CC.1.1-1."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"


FINAL = (State.COMPLETED, State.CANCELED)


class Request(StrEnum):
    """What a peer asks for: a row of the transition table."""

    CREATE = "N-CREATE"
    CLAIM = "change to IN PROGRESS, Transaction UID right"
    CLAIM_WRONG = "change to IN PROGRESS, Transaction UID wrong"
    RESCHEDULE = "change to SCHEDULED"
    COMPLETE = "change to COMPLETED, Transaction UID right"
    COMPLETE_WRONG = "change to COMPLETED, Transaction UID wrong"
    REQUEST_CANCEL = "request cancel"
    CANCEL = "change to CANCELED, Transaction UID right"
    CANCEL_WRONG = "change to CANCELED, Transaction UID wrong"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a request: the status, and the state where it changes.

    `final` says that the final state requirements (PS3.4 CC.2.5.1.1) must be met first, else 0xC304.
    """

    status: Status
    state: State | None = None
    final: bool = False


def _go(state: State, *, final: bool = False) -> Outcome:
    return Outcome(Status.SUCCESS, state, final)


_GONE = Outcome(Status.NO_SUCH_UPS)
_WRONG = Outcome(Status.WRONG_TRANSACTION)
_ENDED = Outcome(Status.NO_LONGER_UPDATABLE)
_ONLY_CREATED = Outcome(Status.ONLY_CREATED_SCHEDULED)
_EXISTS = Outcome(Status.DUPLICATE_INSTANCE)
_NOT_YET = Outcome(Status.NOT_IN_PROGRESS)

# PS3.4 Table CC.1.1-2. Columns: no such instance, SCHEDULED, IN PROGRESS, COMPLETED, CANCELED.
# Request cancel of what is IN PROGRESS: who watches is told; 0xC312 where nobody does (CC.2.2.3).
TRANSITIONS: Mapping[Request, tuple[Outcome, Outcome, Outcome, Outcome, Outcome]] = {
    Request.CREATE: (_go(State.SCHEDULED), _EXISTS, _EXISTS, _EXISTS, _EXISTS),
    Request.CLAIM: (_GONE, _go(State.IN_PROGRESS), Outcome(Status.ALREADY_IN_PROGRESS), _ENDED, _ENDED),
    Request.CLAIM_WRONG: (_GONE, _WRONG, _WRONG, _WRONG, _WRONG),
    Request.RESCHEDULE: (_GONE, _ONLY_CREATED, _ONLY_CREATED, _ONLY_CREATED, _ONLY_CREATED),
    Request.COMPLETE: (_GONE, _NOT_YET, _go(State.COMPLETED, final=True), Outcome(Status.ALREADY_COMPLETED), _ENDED),
    Request.COMPLETE_WRONG: (_GONE, _WRONG, _WRONG, _WRONG, _WRONG),
    Request.REQUEST_CANCEL: (
        _GONE, _go(State.CANCELED), Outcome(Status.SUCCESS),
        Outcome(Status.IS_COMPLETED), Outcome(Status.ALREADY_CANCELED),
    ),
    Request.CANCEL: (_GONE, _NOT_YET, _go(State.CANCELED, final=True), _ENDED, Outcome(Status.ALREADY_CANCELED)),
    Request.CANCEL_WRONG: (_GONE, _WRONG, _WRONG, _WRONG, _WRONG),
}  # fmt: skip

_CHANGES: Mapping[State, tuple[Request, Request]] = {  # requested state: with the right Transaction UID, without
    State.IN_PROGRESS: (Request.CLAIM, Request.CLAIM_WRONG),
    State.SCHEDULED: (Request.RESCHEDULE, Request.RESCHEDULE),
    State.COMPLETED: (Request.COMPLETE, Request.COMPLETE_WRONG),
    State.CANCELED: (Request.CANCEL, Request.CANCEL_WRONG),
}


def outcome(request: Request, current: State | None) -> Outcome:
    """The cell of Table CC.1.1-2; `current` is None where there is no such instance."""
    column = 0 if current is None else 1 + tuple(State).index(current)
    return TRANSITIONS[request][column]


def change_request(requested: State, current: State | None, recorded: str, given: str) -> Request:
    """The table's row for a change of state.

    Parameters
    ----------
    recorded, given
        Transaction UIDs, of the instance and of the request; empty where there is none. While an instance is
        SCHEDULED nothing is recorded, and any UID is right: it becomes the lock.
    """
    right = bool(given) and (current in (None, State.SCHEDULED) or given == recorded)
    return _CHANGES[requested][0 if right else 1]


def refusal_to_set(current: State | None, recorded: str, given: str) -> Status | None:
    """Why an N-SET may not touch the instance, None where it may (PS3.4 CC.2.6.2, CC.2.6.3)."""
    if current is None:
        return Status.NO_SUCH_UPS
    if current in FINAL:
        return Status.NO_LONGER_UPDATABLE
    if current is State.SCHEDULED:
        return Status.NOT_IN_PROGRESS if given else None
    return None if given and given == recorded else Status.WRONG_TRANSACTION
