"""Which associations are bringing which studies just now."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection


class Senders:
    """Open associations and the studies that came over them; safe to use from every association's thread.

    Parameters
    ----------
    released
        Called with the Study Instance UIDs when an association that brought them ends.
    """

    def __init__(self, released: Callable[[frozenset[str]], None] = lambda _studies: None) -> None:
        self._lock = threading.Lock()
        self._open: dict[object, set[str]] = {}
        self._ended_at: dict[str, float] = {}
        self._released = released

    def brought(self, association: object, study_instance_uid: str) -> None:
        """An instance of the study came over the association."""
        with self._lock:
            self._open.setdefault(association, set()).add(study_instance_uid)

    def ended(self, association: object) -> None:
        """The association was released, aborted or lost; safe to say more than once."""
        with self._lock:
            studies = frozenset(self._open.pop(association, ()))
            self._ended_at |= dict.fromkeys(studies, time.time())
        if studies:
            self._released(studies)

    def is_sending(self, study_instance_uid: str) -> bool:
        """Whether an association that brought instances of the study is still open."""
        with self._lock:
            return any(study_instance_uid in studies for studies in self._open.values())

    def ended_at(self, study_instance_uid: str) -> float:
        """When the last association that brought it ended; 0 where that was before this process."""
        with self._lock:
            return self._ended_at.get(study_instance_uid, 0.0)

    def keep_only(self, study_instance_uids: Collection[str]) -> None:
        """Forget the times of all other studies: they are complete."""
        with self._lock:
            self._ended_at = {uid: at for uid, at in self._ended_at.items() if uid in study_instance_uids}
