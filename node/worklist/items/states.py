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
    """What a peer requests: a row of the transition table."""

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
class Transition:
    """A cell of the transition table: the status of the response, and the new state where it changes.

    `final`: the final state requirements (PS3.4 CC.2.5.1.1) must be met first, else 0xC304.
    """

    status: Status
    state: State | None = None
    final: bool = False


def _to(state: State, *, final: bool = False) -> Transition:
    return Transition(Status.SUCCESS, state, final)


_GONE = Transition(Status.NO_SUCH_UPS)
_WRONG = Transition(Status.WRONG_TRANSACTION)
_ENDED = Transition(Status.NO_LONGER_UPDATABLE)
_ONLY_CREATED = Transition(Status.ONLY_CREATED_SCHEDULED)
_EXISTS = Transition(Status.DUPLICATE_INSTANCE)
_NOT_YET = Transition(Status.NOT_IN_PROGRESS)

# PS3.4 Table CC.1.1-2. Columns: no such instance, SCHEDULED, IN PROGRESS, COMPLETED, CANCELED.
# Request cancel of what is IN PROGRESS: its subscribers are notified; 0xC312 where there is none (CC.2.2.3).
TRANSITIONS: Mapping[Request, tuple[Transition, Transition, Transition, Transition, Transition]] = {
    Request.CREATE: (_to(State.SCHEDULED), _EXISTS, _EXISTS, _EXISTS, _EXISTS),
    Request.CLAIM: (_GONE, _to(State.IN_PROGRESS), Transition(Status.ALREADY_IN_PROGRESS), _ENDED, _ENDED),
    Request.CLAIM_WRONG: (_GONE, _WRONG, _WRONG, _WRONG, _WRONG),
    Request.RESCHEDULE: (_GONE, _ONLY_CREATED, _ONLY_CREATED, _ONLY_CREATED, _ONLY_CREATED),
    Request.COMPLETE: (_GONE, _NOT_YET, _to(State.COMPLETED, final=True), Transition(Status.ALREADY_COMPLETED), _ENDED),
    Request.COMPLETE_WRONG: (_GONE, _WRONG, _WRONG, _WRONG, _WRONG),
    Request.REQUEST_CANCEL: (
        _GONE, _to(State.CANCELED), Transition(Status.SUCCESS),
        Transition(Status.IS_COMPLETED), Transition(Status.ALREADY_CANCELED),
    ),
    Request.CANCEL: (_GONE, _NOT_YET, _to(State.CANCELED, final=True), _ENDED, Transition(Status.ALREADY_CANCELED)),
    Request.CANCEL_WRONG: (_GONE, _WRONG, _WRONG, _WRONG, _WRONG),
}  # fmt: skip

_CHANGES: Mapping[State, tuple[Request, Request]] = {  # requested state: with the right Transaction UID, without
    State.IN_PROGRESS: (Request.CLAIM, Request.CLAIM_WRONG),
    State.SCHEDULED: (Request.RESCHEDULE, Request.RESCHEDULE),
    State.COMPLETED: (Request.COMPLETE, Request.COMPLETE_WRONG),
    State.CANCELED: (Request.CANCEL, Request.CANCEL_WRONG),
}


def transition(request: Request, current: State | None) -> Transition:
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
