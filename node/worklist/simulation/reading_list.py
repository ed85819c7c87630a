"""A reading list as a discrete-event simulation: what studies wait, with the node and without it. Pure.

Studies arrive, readers take the most urgent that waits (first come first served within a priority) and are not
interrupted. Without the node all have one priority. With it, a study is flagged when its analysis ends: a critical one
with the probability `sensitivity`, another one with `1 - specificity`; a flagged study goes before the others.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray[tuple[int], np.dtype[np.float64]]
Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Reading:
    """How long a reading takes: `exponential`, `constant` or `lognormal`, with coefficient of variation `spread`."""

    mean: float  # hours
    shape: str = "lognormal"
    spread: float = 0.5

    @property
    def variation(self) -> float:
        """Coefficient of variation."""
        return {"exponential": 1.0, "constant": 0.0, "lognormal": self.spread}[self.shape]

    @property
    def second(self) -> float:
        """Second moment, hours²."""
        return self.mean**2 * (1 + self.variation**2)

    def draw(self, random: np.random.Generator, count: int) -> Array:
        """So many reading times, hours."""
        if self.shape == "exponential":
            return random.exponential(self.mean, count)
        if self.shape == "constant":
            return np.full(count, self.mean)
        sigma = np.sqrt(np.log1p(self.spread**2))
        return random.lognormal(np.log(self.mean) - sigma**2 / 2, sigma, count)


@dataclass(frozen=True, slots=True)
class Day:
    """The studies of one simulated or recorded time, in the order of their arrival; times in hours."""

    arrivals: Array
    critical: Flags
    flagged: Flags  # by the node
    flagged_at: Array  # when: the end of the analysis
    reading: Array  # how long the reader needs

    def __len__(self) -> int:
        return len(self.arrivals)


def flags(random: np.random.Generator, critical: Flags, sensitivity: float, specificity: float) -> Flags:
    """Which studies a test of this sensitivity and specificity flags."""
    return random.random(len(critical)) < np.where(critical, sensitivity, 1 - specificity)


def waits(day: Day, readers: int, *, with_node: bool) -> Array:
    """Hours from each study's arrival until a reader begins with it."""
    waited = np.empty(len(day))
    list_ = _List(day, with_node)
    free, now = [0.0] * readers, 0.0  # when each reader has finished; the simulated time
    for _study in range(len(day)):
        now = max(now, heapq.heappop(free), list_.earliest)
        study = list_.take(now)
        waited[study] = now - day.arrivals[study]
        heapq.heappush(free, now + day.reading[study])
    return waited


class _List:
    """The studies that wait, as the readers see them at a given time; times must not go back."""

    def __init__(self, day: Day, with_node: bool) -> None:
        self._day = day
        self._routine: list[tuple[float, int]] = []
        self._urgent: list[tuple[float, int]] = []
        self._next, self._taken = 0, np.zeros(len(day), dtype=bool)
        raised = np.flatnonzero(day.flagged) if with_node else np.empty(0, dtype=int)
        self._raises: Sequence[int] = raised[np.argsort(day.flagged_at[raised], kind="stable")].tolist()
        self._raised = 0

    @property
    def earliest(self) -> float:
        """When there is something to read: 0 where something waits, else the next arrival."""
        while self._routine and self._taken[self._routine[0][1]]:
            heapq.heappop(self._routine)
        return 0.0 if self._routine else float(self._day.arrivals[self._next])

    def take(self, now: float) -> int:
        """The study that is read next, and is no longer on the list."""
        day = self._day
        while self._next < len(day) and day.arrivals[self._next] <= now:
            heapq.heappush(self._routine, (float(day.arrivals[self._next]), self._next))
            self._next += 1
        while self._raised < len(self._raises) and day.flagged_at[self._raises[self._raised]] <= now:
            study = self._raises[self._raised]
            heapq.heappush(self._urgent, (float(day.arrivals[study]), study))
            self._raised += 1
        for waiting in (self._urgent, self._routine):
            while waiting:
                _arrival, study = heapq.heappop(waiting)
                if not self._taken[study]:
                    self._taken[study] = True
                    return study
        raise IndexError("nothing waits")


@dataclass(frozen=True, slots=True)
class Summary:
    """A distribution of times, hours; NaN where there is no study."""

    studies: int
    mean: float
    median: float
    ninetieth: float


def summarize(waited: Array) -> Summary:
    """Mean, median and 90th percentile."""
    if not len(waited):
        return Summary(0, *[float("nan")] * 3)
    median, ninetieth = np.percentile(waited, (50, 90))
    return Summary(len(waited), float(waited.mean()), float(median), float(ninetieth))


def interval_of_mean(means: Sequence[float]) -> float:
    """Half of the 95 % interval of the mean of independent replications."""
    return 1.96 * float(np.std(means, ddof=1)) / len(means) ** 0.5 if len(means) > 1 else float("inf")
