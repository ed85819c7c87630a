"""The association registry: who is connected, since when, what each sent, how each ended.

One object stands for an association from its admission to the end of its connection. It is made here, carried by
pynetdicom's association as its `session`, and filled by the services that the peer uses.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from node.admission.policy import Caller
from node.settings import Settings

RELEASED, ABORTED = "association released", "association aborted"
UNKNOWN = "received before the node's start"
SUCCESS = 0x0000


@dataclass(frozen=True, slots=True)
class StoreResult:
    """One C-STORE request and the status of its response.

    `study_instance_uid` is empty where the Data Set was refused before it was read; `duplicate` where this very
    instance was stored before; `size` is in bytes.
    """

    sop_class_uid: str
    status: int
    study_instance_uid: str = ""
    size: int = 0
    duplicate: bool = False
    patient_id: str = field(default="", repr=False)


@dataclass(slots=True)
class StoreCounts:
    """Instances of one patient, study and association, by SOP Class UID: stored, stored before, and refused."""

    new: Counter[str] = field(default_factory=Counter)
    duplicate: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)  # of those refused

    def add(self, result: StoreResult) -> None:
        """Count one instance."""
        if result.status != SUCCESS:
            self.refused[result.sop_class_uid] += 1
            self.statuses[result.status] += 1
            return
        (self.duplicate if result.duplicate else self.new)[result.sop_class_uid] += 1


StudyCounts = dict[str, StoreCounts]
"""Of one study over one association, by the Patient ID that instances were sent with; empty until one is answered."""


@dataclass(slots=True, eq=False)
class OpenAssociation:
    """An association with its caller; the registry alone changes it.

    Attributes
    ----------
    peer
        The name under which its slot is counted.
    since
        Seconds since 1970 UTC.
    studies
        What was received and not yet reported to the subscribers, by Study Instance UID.
    end
        How it ended; empty while it is open.
    """

    caller: Caller
    peer: str
    since: float
    established: bool = False
    end: str = ""
    studies: dict[str, StudyCounts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AssociationEnd:
    """The end of the last association that sent new instances of a study, seconds since 1970 UTC."""

    at: float = 0.0
    how: str = UNKNOWN


OnStored = Callable[[Caller, StoreResult], object]
"""Called with each C-STORE request that was answered."""
OnRejected = Callable[[str, str, str], object]
"""Called with the AE title (empty where TLS failed before it was sent), the address, and the reason."""
OnEnded = Callable[[Caller, Mapping[str, StudyCounts]], object]
"""Called with the studies of an association that ended; not where it sent no instance."""


class AssociationRegistry:
    """All associations that peers opened; safe to use from every association's thread."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._most, self._most_per_peer = settings.node.max_associations, settings.limits.associations_per_peer
        self._clock, self._lock = clock, threading.Lock()
        self._on_stored: list[OnStored] = []
        self._on_ended: list[OnEnded] = []
        self._on_rejected: list[OnRejected] = []
        self._open: dict[OpenAssociation, None] = {}
        self._ends: dict[str, AssociationEnd] = {}

    def subscribe(
        self, *, stored: OnStored | None = None, ended: OnEnded | None = None, rejected: OnRejected | None = None
    ) -> None:
        """Call these from now on, after those of earlier subscribers."""
        self._on_stored += [stored] if stored else []
        self._on_ended += [ended] if ended else []
        self._on_rejected += [rejected] if rejected else []

    def open(self, caller: Caller, peer: str) -> OpenAssociation | str:
        """An association in a slot of its own; else the setting that leaves none free."""
        with self._lock:
            if len(self._open) >= self._most:
                return f"node.max_associations = {self._most}"
            if sum(one.peer == peer for one in self._open) >= self._most_per_peer:
                return f"limits.associations_per_peer = {self._most_per_peer}"
            association = OpenAssociation(caller, peer, self._clock())
            self._open[association] = None
            return association

    def rejected(self, ae_title: str, address: str, reason: str) -> None:
        """An association was not admitted."""
        for on_rejected in self._on_rejected:
            on_rejected(ae_title, address, reason)

    def established(self, association: OpenAssociation) -> None:
        """The association was accepted."""
        association.established = True

    @property
    def count(self) -> int:
        """Number of established associations."""
        with self._lock:
            return sum(one.established and not one.end for one in self._open)

    def receiving(self, association: OpenAssociation, study_instance_uid: str) -> bool:
        """An instance of the study arrives over the association, not stored yet; whether it is the first there."""
        with self._lock:
            first = study_instance_uid not in association.studies
            association.studies.setdefault(study_instance_uid, {})
            return first

    def stored(self, association: OpenAssociation, result: StoreResult) -> None:
        """A C-STORE request was answered."""
        if result.study_instance_uid:
            with self._lock:
                of_study = association.studies.setdefault(result.study_instance_uid, {})
                of_study.setdefault(result.patient_id, StoreCounts()).add(result)
        for on_stored in self._on_stored:
            on_stored(association.caller, result)

    def end(self, association: OpenAssociation, how: str, *, closed: bool = False) -> None:
        """The association was released, aborted or lost; only the first report of its end counts.

        Parameters
        ----------
        closed
            Its connection is closed, too, and the slot free.
        """
        with self._lock:
            association.end = association.end or how
            studies, association.studies = association.studies, {}
            self._ends |= dict.fromkeys(studies, AssociationEnd(self._clock(), association.end))
            if closed:
                self._open.pop(association, None)
        for on_ended in self._on_ended if studies else ():
            on_ended(association.caller, studies)

    def is_sending(self, study_instance_uid: str) -> bool:
        """Whether an association that sent instances of the study is still open."""
        with self._lock:
            return any(study_instance_uid in one.studies for one in self._open)

    def last_end(self, study_instance_uid: str) -> AssociationEnd:
        """How and when the last association that sent it ended; unknown where that was before this process."""
        with self._lock:
            return self._ends.get(study_instance_uid, AssociationEnd())

    def limit_ends(self, now: float) -> None:
        """The clock was set back: no association ended later than now."""
        with self._lock:
            self._ends = {uid: AssociationEnd(min(end.at, now), end.how) for uid, end in self._ends.items()}

    def keep_only(self, study_instance_uids: Collection[str]) -> None:
        """Forget the ends for all other studies: they are complete."""
        with self._lock:
            self._ends = {uid: end for uid, end in self._ends.items() if uid in study_instance_uids}


def session_of(association: Any) -> OpenAssociation:
    """The registry's object of an association of pynetdicom's that we accepted."""
    session: OpenAssociation = association.session
    return session
