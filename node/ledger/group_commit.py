"""Group commit: writes of many threads that wait at once go into one transaction, and are durable with one sync."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from node.errors import OutOfResources

T = TypeVar("T")


class GroupCommit:
    """Writes that are safe to ask for from many threads; the first one writes for all who wait by then.

    Parameters
    ----------
    transaction
        Opens a transaction, which is committed on leaving.
    """

    def __init__(self, transaction: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._transaction = transaction
        self._turn, self._guard = threading.Lock(), threading.Lock()
        self._waiting: list[_Write] = []

    def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, once it is committed; it may run more than once, of which one counts.

        Raises
        ------
        Exception
            What the transaction or `work` raised; it has written nothing then, and the others' work is not touched.
        """
        mine = _Write(work)
        with self._guard:
            self._waiting.append(mine)
        with self._turn:
            if not mine.done:
                with self._guard:
                    group, self._waiting = self._waiting, []
                self._commit(group)
        if not mine.done:
            raise RuntimeError("the transaction was left in the middle")
        if mine.error is not None:
            raise mine.error
        return cast("T", mine.outcome)

    def _commit(self, group: list[_Write]) -> None:
        try:
            with self._transaction() as connection:
                for one in group:
                    one.outcome = one.work(connection)
        except Exception as error:  # noqa: BLE001  # it is raised where its work was asked for
            if len(group) > 1 and not _is_of_all(error):  # one of them spoiled it
                for one in group:
                    self._commit([one])
                return
            for one in group:
                one.error = error
        for one in group:
            one.done = True


def _is_of_all(error: Exception) -> bool:
    """Whether the ledger takes nothing (locked, full, gone): to try each alone would let the last wait for all."""
    return isinstance(error, OutOfResources) and not isinstance(error.__cause__, IntegrityError)


class _Write:
    """One piece of work that waits for its transaction."""

    __slots__ = ("done", "error", "outcome", "work")

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.done = False
        self.outcome: Any = None
        self.error: Exception | None = None
