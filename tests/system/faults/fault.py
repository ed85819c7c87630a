"""A fault, the ground it is tried on, and its row of the table."""

from __future__ import annotations

import random
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.system.faults.accounts import Accounts
from tests.system.faults.house import House


class Unavailable(Exception):
    """This machine does not let the fault be made; a sentence."""


@dataclass
class Ground:
    """Where faults are tried: an ordinary house that most of them share, made when it is first needed."""

    folder: Path
    brief: bool = False
    """Shorter waits, for the ordinary suite."""
    _stack: ExitStack = field(default_factory=ExitStack)
    _house: House | None = None
    _made: int = 0

    @property
    def busy(self) -> float | None:
        """Seconds that the ledger waits for a lock; None: the product's own."""
        return 1.0 if self.brief else None

    @property
    def house(self) -> House:
        """The shared one."""
        if self._house is None:
            self._house = self._stack.enter_context(House(self.place(), busy=self.busy))
        return self._house

    def place(self) -> Path:
        """A folder of one's own."""
        self._made += 1
        return self.folder / str(self._made)

    def leave(self) -> None:
        """End the shared house; the next fault gets another."""
        self._house = None
        self._stack.close()

    close = leave

    def clear(self) -> None:
        """End it, and remove what it left."""
        self.leave()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Fault:
    """One row of the table; `run` makes the fault so many times and counts."""

    name: str
    how: str
    run: Callable[[Ground, int, random.Random], Accounts]
    most: int = 3
    """Tries that it gets, however many are asked for."""
    few: int = 1
    """Tries that it gets in the ordinary suite."""


@dataclass(frozen=True)
class Row:
    """How a fault went."""

    fault: Fault
    tries: int
    accounts: Accounts
    seconds: float
    unavailable: str = ""

    @property
    def right(self) -> bool:
        """Whether the fault was made, something was answered Success, and nothing is wrong."""
        return self.accounts.right and self.accounts.answered > 0 and not self.unavailable

    def cells(self) -> tuple[str, ...]:
        """For the table."""
        if self.unavailable:
            return self.fault.name, "0", "-", "-", "-", "-", "-", f"not tried: {self.unavailable}"
        told = self.accounts
        numbers = self.tries, told.answered, len(told.lost), len(told.duplicated), len(told.torn)
        return self.fault.name, *map(str, numbers), f"{self.seconds:.0f}", self.fault.how


HEAD = ("fault", "tries", "answered Success", "lost", "duplicated", "torn", "seconds", "how it was made and checked")


def attempt(fault: Fault, ground: Ground, tries: int, seed: int) -> Row:
    """Make the fault; whatever does not end as it must is told, and counts as lost."""
    tries, begin = min(tries, fault.most), time.monotonic()
    accounts, unavailable = Accounts(), ""
    try:
        accounts = fault.run(ground, tries, random.Random(f"{seed} {fault.name}"))
    except Unavailable as reason:
        unavailable = str(reason)
    except Exception as error:  # noqa: BLE001  # outermost: the other rows are tried all the same
        traceback.print_exc(file=sys.stderr)
        accounts = Accounts(lost=[f"the fault did not end as it must: {error}"])
    if not accounts.right:
        with suppress(Exception):
            ground.leave()
    return Row(fault, tries, accounts, time.monotonic() - begin, unavailable)
