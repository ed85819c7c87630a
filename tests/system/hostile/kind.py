"""A kind of hostile input, what each input is answered, and the kind's row of the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from tests.system.hostile.limited import Site

T = TypeVar("T")
NOTHING = "no response, connection ended"


@dataclass(frozen=True)
class Answer:
    """What one input was answered."""

    name: str
    words: str
    right: bool = True


@dataclass(frozen=True)
class Kind:
    """Inputs that are sent one after the other; `run` takes how many there may be."""

    name: str
    run: Callable[[Site, int], Iterator[Answer]]
    few: int = 3
    """Inputs in the short form."""
    many: int = 10_000


@dataclass(frozen=True)
class Condition:
    """What lasts from before the first input until after the last; it answers when it is asked, at the end."""

    name: str
    hold: Callable[[Site, int], AbstractContextManager[Callable[[], Iterable[Answer]]]]
    few: int = 2
    many: int = 4


@dataclass
class Row:
    """How a kind went."""

    name: str
    answers: list[Answer] = field(default_factory=list)
    studies: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Study Instance UID to its state and reason, at the end."""
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def cells(self) -> tuple[str, str, str, str, str]:
        """For the table."""
        states = Counter(state for state, _ in self.studies.values())
        inputs, answers = str(len(self.answers)), _counted(Counter(one.words for one in self.answers))
        return self.name, inputs, answers, _counted(states) or "-", f"{self.seconds:.1f}"


def spread(inputs: Sequence[T], count: int) -> list[T]:
    """So many of them, from all over the sequence."""
    step = max(len(inputs) / count, 1.0)
    return [inputs[int(number * step)] for number in range(min(count, len(inputs)))]


def first(inputs: Iterable[T], count: int) -> Iterator[T]:
    """So many of inputs without end."""
    return islice(inputs, count)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {words}" for words, count in counts.most_common(5)) + (", …" if len(counts) > 5 else "")
