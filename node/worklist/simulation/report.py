"""`readfirst worklist simulate`: from its options, or the ledger, to a table and a picture."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import select

from node.errors import ReadFirstError
from node.ledger.engine import Ledger
from node.ledger.tables import FINDING, STUDY
from node.worklist.items.priority import Priority
from node.worklist.simulation.reading_list import Reading
from node.worklist.simulation.waiting_time import Scenario, WaitingTimes, drawn, recorded, simulate

_HEAD = ("studies", "node", "mean", "95 % interval", "median", "90 %", "Cobham, mean")


@dataclass(frozen=True, slots=True)
class Times:
    """Minutes: a reading's mean, its distribution, and the analysis."""

    reading: float
    shape: str
    spread: float
    analysis: float


@dataclass(frozen=True, slots=True)
class Test:
    """How frequent critical studies are, and how well they are found."""

    __test__ = False  # for pytest

    prevalence: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True, slots=True)
class Simulation:
    """What was simulated, and the waiting times."""

    scenario: Scenario
    times: WaitingTimes
    source: str

    @property
    def title(self) -> str:
        """What was simulated, in a line."""
        known = self.scenario
        return (
            f"{self.source}, {known.readers} reader{'s' * (known.readers > 1)}, {60 * known.reading.mean:g} min "
            f"({known.reading.shape}), load {known.load:.2f}; prevalence {known.prevalence:g}, "
            f"sensitivity {known.sensitivity:g}, specificity {known.specificity:g}"
        )

    def as_text(self) -> str:
        """A table: minutes from arrival until a reader begins."""
        rows = [_HEAD, *(self._cells(number) for number in range(len(self.times.lines)))]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([self.title, "minutes from arrival until a reader begins", "", *table, "", *self._notes(), ""])

    def as_json(self) -> str:
        """The same, times in minutes; what is not a number is null."""
        lines = [
            {
                "studies": line.kind, "with_node": line.with_node, "count": line.summary.studies,
                "mean": _number(line.summary.mean), "interval": _number(line.interval),
                "median": _number(line.summary.median), "ninetieth": _number(line.summary.ninetieth),
                "cobham_mean": _number(line.formula),
            }
            for line in self.times.lines
        ]  # fmt: skip
        whole = {"scenario": self.title, "load": self.scenario.load, "formula_exact": self.times.exact, "lines": lines}
        return json.dumps(whole, indent=1) + "\n"

    def write_png(self, path: Path) -> None:
        """Write the picture."""
        from node.worklist.simulation import picture  # noqa: PLC0415  # matplotlib: only where a picture is wanted

        try:
            picture.draw(self.times, self.title, path)
        except OSError as error:
            raise ReadFirstError(f"--png {path}: it cannot be written: {error.strerror}") from error

    def _cells(self, number: int) -> tuple[str, ...]:
        line = self.times.lines[number]
        summary = line.summary
        values = (summary.mean, summary.median, summary.ninetieth, line.formula)
        mean, median, ninetieth, formula = (_minutes(value) for value in values)
        interval = f"± {_minutes(line.interval)}"
        return (line.kind, "with" if line.with_node else "without", mean, interval, median, ninetieth, formula)

    def _notes(self) -> list[str]:
        known, notes = self.scenario, []
        if known.load >= 1:
            notes.append("More studies arrive than the readers can read: the list grows, and no mean is a lasting one.")
        if not self.times.exact:
            notes.append("Cobham's formula is an approximation here: several readers, reading times not exponential.")
        if len(set(known.rates)) > 1 or known.delay or not self.source.startswith("simulated"):
            notes.append("The formula takes the mean rate, Poisson arrivals and an analysis that takes no time.")
        return notes


def imagine(rates: str, times: Times, test: Test, readers: int, repeat: int, seed: int) -> Simulation:
    """Days of the given arrival rates.

    Raises
    ------
    ReadFirstError
        `rates` are no rates.
    """
    try:
        given = tuple(float(rate) for rate in rates.split(","))
    except ValueError:
        given = ()
    if not given or not all(0 <= rate <= 10_000 for rate in given) or not any(given):
        raise ReadFirstError(
            f"--arrivals {rates}: write studies an hour, for example 8, or 2,2,12,8 for parts of the day"
        )
    scenario = _scenario(given, times, test, readers)
    source = f"simulated {repeat} days, {scenario.rate:g} studies/h"
    return Simulation(scenario, simulate(scenario, drawn(scenario), repeat, seed), source)


def replay(ledger: Ledger, hours: float, times: Times, test: Test, readers: int, repeat: int, seed: int) -> Simulation:
    """The studies that the ledger has of the last `hours`; flagged is what has a present finding of urgency HIGH.

    Raises
    ------
    ReadFirstError
        There is none.
    """
    now = time.time()
    urgent = select(FINDING.c.study_instance_uid).where(
        FINDING.c.generation == STUDY.c.generation,
        FINDING.c.study_instance_uid == STUDY.c.study_instance_uid,
        FINDING.c.present,
        FINDING.c.urgency == Priority.HIGH,
        FINDING.c.raises_priority,
    )
    query = select(STUDY.c.last_received_at, STUDY.c.finished_at, urgent.exists().label("flagged"))
    with ledger.read() as connection:
        since = STUDY.c.last_received_at >= now - hours * 3600
        rows = connection.execute(query.where(since).order_by(STUDY.c.last_received_at)).all()
    if not rows:
        raise ReadFirstError(f"--ledger {hours:g}: no study was received in the last {hours:g} hours")
    begin = rows[0].last_received_at
    arrivals = np.array([(row.last_received_at - begin) / 3600 for row in rows])
    finished = np.array([((row.finished_at or now) - begin) / 3600 for row in rows])
    flagged = np.array([bool(row.flagged) and row.finished_at is not None for row in rows])
    rate = len(rows) / max(float(arrivals[-1]), 1 / 60)
    scenario = _scenario((rate,), times, test, readers)
    draw = recorded(scenario, arrivals, flagged, np.maximum(finished, arrivals))
    source = f"{len(rows)} recorded studies ({int(flagged.sum())} flagged), {rate:.3g} studies/h, {repeat} times"
    return Simulation(scenario, simulate(scenario, draw, repeat, seed), source)


def _scenario(rates: tuple[float, ...], times: Times, test: Test, readers: int) -> Scenario:
    reading = Reading(times.reading / 60, times.shape, times.spread)
    return Scenario(rates, reading, readers, test.prevalence, test.sensitivity, test.specificity, times.analysis / 60)


def _minutes(hours: float) -> str:
    if math.isnan(hours):
        return "-"
    return "endless" if math.isinf(hours) else f"{60 * hours:.1f}"


def _number(hours: float) -> float | None:
    return round(60 * hours, 3) if math.isfinite(hours) else None
