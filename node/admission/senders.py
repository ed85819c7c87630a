"""Which associations are bringing which studies just now."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from node.dispatch.completeness import UNKNOWN


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of the last association that brought instances of a study, seconds since 1970 UTC."""

    at: float = 0.0
    how: str = UNKNOWN


class Senders:
    """Open associations and the studies that came over them; safe to use from every association's thread.

    Parameters
    ----------
    released
        Called with the Study Instance UIDs when an association that brought them ends.
    """

    def __init__(
        self, released: Callable[[frozenset[str]], None] = lambda _studies: None, clock: Callable[[], float] = time.time
    ) -> None:
        self._lock = threading.Lock()
        self._open: dict[object, set[str]] = {}
        self._ended: dict[str, Ended] = {}
        self._released, self._clock = released, clock

    def brought(self, association: object, study_instance_uid: str) -> None:
        """An instance of the study came over the association."""
        with self._lock:
            self._open.setdefault(association, set()).add(study_instance_uid)

    def end(self, association: object, how: str) -> None:
        """The association was released, aborted or lost; only the first word of it counts."""
        with self._lock:
            studies = frozenset(self._open.pop(association, ()))
            self._ended |= dict.fromkeys(studies, Ended(self._clock(), how))
        if studies:
            self._released(studies)

    def is_sending(self, study_instance_uid: str) -> bool:
        """Whether an association that brought instances of the study is still open."""
        with self._lock:
            return any(study_instance_uid in studies for studies in self._open.values())

    def ended(self, study_instance_uid: str) -> Ended:
        """How and when the last association that brought it ended; unknown where that was before this process."""
        with self._lock:
            return self._ended.get(study_instance_uid, Ended())

    def bring_near(self, now: float) -> None:
        """The clock was set back: no association ended later than now."""
        with self._lock:
            self._ended = {uid: Ended(min(ended.at, now), ended.how) for uid, ended in self._ended.items()}

    def keep_only(self, study_instance_uids: Collection[str]) -> None:
        """Forget the times of all other studies: they are complete."""
        with self._lock:
            self._ended = {uid: ended for uid, ended in self._ended.items() if uid in study_instance_uids}
