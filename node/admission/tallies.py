"""What each open association has brought, and how it was answered; told when the association ends."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

SUCCESS = 0x0000


@dataclass(frozen=True, slots=True)
class Answer:
    """One C-STORE request and the status that it was answered with.

    `study_instance_uid` is empty where the Data Set was refused before it was read; `held` says that this very instance
    was here before; `size` is in bytes.
    """

    sop_class_uid: str
    status: int
    study_instance_uid: str = ""
    size: int = 0
    held: bool = False


@dataclass(frozen=True, slots=True)
class Sender:
    """Who opened the association."""

    ae_title: str
    address: str


@dataclass(slots=True)
class Brought:
    """What came of one study: instances by SOP Class UID, those that are kept and were not here before, and so on."""

    new: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)  # of those refused

    def add(self, answer: Answer) -> None:
        """Count one instance."""
        if answer.status != SUCCESS:
            self.refused[answer.sop_class_uid] += 1
            self.statuses[answer.status] += 1
        else:
            (self.held if answer.held else self.new)[answer.sop_class_uid] += 1


Told = Callable[[Sender, Mapping[str, Brought]], None]


class Tallies:
    """Tallies of the open associations; safe to use from every association's thread.

    Parameters
    ----------
    on_answer
        Called with each answer.
    on_end
        Called when an association ends with what it brought, by Study Instance UID; not where it brought nothing.
    """

    def __init__(
        self,
        on_answer: Callable[[Sender, Answer], None] = lambda _sender, _answer: None,
        on_end: Told = lambda _sender, _brought: None,
    ) -> None:
        self._on_answer, self._on_end = on_answer, on_end
        self._lock = threading.Lock()
        self._open: dict[object, tuple[Sender, dict[str, Brought]]] = {}

    def answered(self, association: object, sender: Sender, answer: Answer) -> None:
        """A C-STORE request was answered."""
        with self._lock:
            _, studies = self._open.setdefault(association, (sender, {}))
            if answer.study_instance_uid:
                studies.setdefault(answer.study_instance_uid, Brought()).add(answer)
        self._on_answer(sender, answer)

    def end(self, association: object) -> None:
        """The association is over; only the first word of it counts."""
        with self._lock:
            sender, studies = self._open.pop(association, (None, {}))
        if sender and studies:
            self._on_end(sender, studies)
