"""The waiting time of critical and routine studies for a reader, with triage and without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from node.worklist.simulation.queueing import Stream, cobham, is_exact
from node.worklist.simulation.reading_list import (
    Array,
    Day,
    Flags,
    Reading,
    Summary,
    flags,
    interval_of_mean,
    summarize,
    waits,
)

HOURS = 24.0  # a day
_WARM_UP = 2 * HOURS  # of a list that was not empty when the day began
KINDS = ("critical", "routine")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A reading room. `rates`: arrivals an hour, each for an equal part of the day; `delay`: the analysis, hours."""

    rates: tuple[float, ...]
    reading: Reading
    readers: int
    prevalence: float
    sensitivity: float
    specificity: float
    delay: float

    @property
    def rate(self) -> float:
        """Mean arrivals an hour."""
        return sum(self.rates) / len(self.rates)

    @property
    def load(self) -> float:
        """Work that arrives, as a part of what the readers can do."""
        return self.rate * self.reading.mean / self.readers

    @property
    def flagged(self) -> float:
        """Probability that a study is flagged."""
        return self.prevalence * self.sensitivity + (1 - self.prevalence) * (1 - self.specificity)


@dataclass(frozen=True, slots=True)
class Line:
    """Studies of one kind, with the node or without it. `interval` is half of the 95 % interval of the mean, hours."""

    kind: str
    with_node: bool
    summary: Summary
    interval: float
    formula: float
    waited: Array = field(repr=False)


@dataclass(frozen=True, slots=True)
class WaitingTimes:
    """Four lines, and whether the formula beside them is exact for these reading times."""

    lines: tuple[Line, ...]
    exact: bool


Draw = Callable[[np.random.Generator], tuple[Day, Flags]]
"""One replication: its studies, and those of them that are measured."""


def simulate(scenario: Scenario, draw: Draw, repeat: int, seed: int) -> WaitingTimes:
    """Simulate `repeat` independent days, each with the node and without it, on the same studies."""
    random = np.random.default_rng(seed)
    waited: dict[tuple[str, bool], list[Array]] = {(kind, node): [] for kind in KINDS for node in (False, True)}
    for _day in range(repeat):
        day, measured = draw(random)
        for node in (False, True):
            of_all = waits(day, scenario.readers, with_node=node)
            for kind, chosen in zip(KINDS, (day.critical, ~day.critical), strict=True):
                waited[kind, node].append(of_all[chosen & measured])
    formulas, exact = formula(scenario)
    return WaitingTimes(
        tuple(_line(kind, node, parts, formulas[kind, node]) for (kind, node), parts in waited.items()), exact
    )


def _line(kind: str, node: bool, parts: Sequence[Array], expected: float) -> Line:
    """The mean is over all studies; its interval from the days' sums, for studies of a day are not independent."""
    pooled = np.concatenate(parts)
    mean = float(pooled.mean()) if len(pooled) else float("nan")
    per_day = len(pooled) / len(parts) if len(pooled) else float("nan")
    residuals = [float(part.sum() - mean * len(part)) / per_day for part in parts]  # a ratio's linear part
    return Line(kind, node, summarize(pooled), interval_of_mean(residuals), expected, pooled)


def formula(scenario: Scenario) -> tuple[dict[tuple[str, bool], float], bool]:
    """Mean waits by Cobham at the mean rate, for an analysis that takes no time; and whether that is exact."""
    reading, rate, flagged = scenario.reading, scenario.rate, scenario.flagged
    whole = [Stream(rate, reading.mean, reading.second)]
    split = [Stream(rate * part, reading.mean, reading.second) for part in (flagged, 1 - flagged)]
    (alike,) = cobham(whole, scenario.readers)
    first, second = cobham(split, scenario.readers)
    waits_by = {}
    for kind, urgent in (("critical", scenario.sensitivity), ("routine", 1 - scenario.specificity)):
        waits_by[kind, False] = alike
        waits_by[kind, True] = sum(part * wait for part, wait in ((urgent, first), (1 - urgent, second)) if part)
    return waits_by, is_exact(whole, scenario.readers)


def drawn(scenario: Scenario, warm_up: float = _WARM_UP, hours: float = HOURS) -> Draw:
    """Days of a reading room that has always been open: the list is not empty when the measured hours begin."""

    def draw(random: np.random.Generator) -> tuple[Day, Flags]:
        arrivals = _arrivals(random, scenario.rates, warm_up + hours)
        critical = random.random(len(arrivals)) < scenario.prevalence
        flagged = flags(random, critical, scenario.sensitivity, scenario.specificity)
        reading = scenario.reading.draw(random, len(arrivals))
        return Day(arrivals, critical, flagged, arrivals + scenario.delay, reading), arrivals >= warm_up

    return draw


def recorded(scenario: Scenario, arrivals: Array, flagged: Flags, flagged_at: Array) -> Draw:
    """The recorded studies, flagged as and when they were. Which were critical is drawn, by the test's values."""
    prevalence, sensitivity = scenario.prevalence, scenario.sensitivity
    flag = scenario.flagged
    if_flagged = prevalence * sensitivity / flag if flag else 0.0  # positive predictive value
    if_not = prevalence * (1 - sensitivity) / (1 - flag) if flag < 1 else 0.0

    def draw(random: np.random.Generator) -> tuple[Day, Flags]:
        critical = random.random(len(arrivals)) < np.where(flagged, if_flagged, if_not)
        reading = scenario.reading.draw(random, len(arrivals))
        return Day(arrivals, critical, flagged, flagged_at, reading), np.ones(len(arrivals), dtype=bool)

    return draw


def _arrivals(random: np.random.Generator, rates: Sequence[float], until: float) -> Array:
    """A Poisson process whose rate changes with the time of day, by thinning."""
    most = max(rates)
    count = random.poisson(most * until)
    times = np.sort(random.uniform(0.0, until, count))
    part = (times % HOURS / HOURS * len(rates)).astype(int).clip(0, len(rates) - 1)
    kept: Array = times[random.random(count) * most < np.asarray(rates)[part]]
    return kept
