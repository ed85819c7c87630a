"""The simulated reading list against Cobham's formula, and against lists that can be followed by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from node.cli import app
from node.entities import AnalysisReport, FoundFinding, StudyState
from node.errors import ReadFirstError
from node.ledger import studies
from node.ledger.engine import Ledger
from node.receiving import instances
from node.worklist.simulation import report, waiting_time
from node.worklist.simulation.queueing import Stream, cobham, erlang_c, is_exact
from node.worklist.simulation.reading_list import Day, Reading, flags, summarize, waits
from node.worklist.simulation.waiting_time import Scenario, drawn, formula, simulate
from tests.node.phantoms import claim, stored

MINUTE = 1 / 60


def day(arrivals: list[float], reading: float, flagged: dict[int, float]) -> Day:
    count = len(arrivals)
    marks = np.isin(np.arange(count), list(flagged))
    at = np.array([flagged.get(number, math.inf) for number in range(count)])
    return Day(np.array(arrivals), marks, marks, at, np.full(count, reading))


def test_a_list_that_can_be_followed_by_hand() -> None:
    list_ = day([0.0, 0.1, 0.2, 0.3], 1.0, {3: 0.4})
    assert waits(list_, 1, with_node=False).tolist() == pytest.approx([0, 0.9, 1.8, 2.7])
    assert waits(list_, 1, with_node=True).tolist() == pytest.approx([0, 1.9, 2.8, 0.7])  # goes first, stops nobody
    assert waits(list_, 2, with_node=True).tolist() == pytest.approx([0, 0, 0.9, 0.7])


def test_a_flag_that_comes_late_helps_late_or_never() -> None:
    assert waits(day([0.0, 0.1, 0.2, 0.3], 1.0, {3: 1.5}), 1, with_node=True).tolist() == pytest.approx(
        [0, 0.9, 2.8, 1.7]
    )
    assert waits(day([0.0, 5.0], 1.0, {1: 5.5}), 1, with_node=True).tolist() == [0, 0]  # read before it was flagged


def test_an_idle_reader_does_not_read_what_has_not_come() -> None:
    assert waits(day([1.0, 4.0, 4.1], 1.0, {}), 2, with_node=True).tolist() == [0, 0, 0]
    assert (waits(day([0.0, 3.0, 3.0, 3.0], 0.5, {}), 2, with_node=False) >= 0).all()


@pytest.mark.parametrize(("shape", "readers"), [("exponential", 1), ("lognormal", 1), ("exponential", 3)])
def test_the_simulation_agrees_with_cobham(shape: str, readers: int) -> None:
    """M/M/1, M/G/1 and M/M/3 at load 0.6: each mean within its own 99.8 % interval and within 3 %."""
    reading = Reading(MINUTE, shape, 0.7)
    scenario = Scenario((36.0 * readers,), reading, readers, 0.2, 0.9, 0.9, 0.0)
    answer = simulate(scenario, drawn(scenario, 2.0, 100.0 / readers), 100, seed=5)
    assert answer.exact
    for line in answer.lines:
        assert line.summary.mean == pytest.approx(line.formula, rel=0.03), line.kind
        assert abs(line.summary.mean - line.formula) < 3.09 / 1.96 * line.interval
    means = {(line.kind, line.with_node): line.summary.mean for line in answer.lines}
    assert means["critical", True] < means["critical", False] < means["routine", True]


def test_the_formula_by_hand() -> None:
    (alone,) = cobham([Stream(0.8, 1.0, 2.0)])
    assert alone == pytest.approx(4.0)  # M/M/1: load / (1 - load) service times
    assert cobham([Stream(0.8, 1.0, 1.0)])[0] == pytest.approx(2.0)  # M/D/1 waits half of that
    first, second = cobham([Stream(0.2, 1.0, 2.0), Stream(0.6, 1.0, 2.0)])
    assert [first, second] == pytest.approx([0.8 / 0.8, 0.8 / (0.8 * 0.2)])
    assert 0.2 * first + 0.6 * second == pytest.approx(0.8 * alone)  # Kleinrock's conservation law
    assert list(cobham([Stream(0.2, 1.0, 2.0), Stream(0.9, 1.0, 2.0)])) == pytest.approx([1.1 / 0.8, math.inf])
    assert erlang_c(1, 0.8) == pytest.approx(0.8)
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)
    assert erlang_c(2, 2.5) == 1.0
    assert not is_exact([Stream(1, 1.0, 1.25)], 2)


def test_flags_have_the_asked_sensitivity_and_specificity() -> None:
    random = np.random.default_rng(1)
    critical = random.random(200_000) < 0.3
    flagged = flags(random, critical, 0.9, 0.8)
    assert flagged[critical].mean() == pytest.approx(0.9, abs=0.005)
    assert flagged[~critical].mean() == pytest.approx(0.2, abs=0.005)


@pytest.mark.parametrize("shape", ["exponential", "constant", "lognormal"])
def test_reading_times_have_the_moments_that_the_formula_takes(shape: str) -> None:
    reading = Reading(0.1, shape, 0.5)
    times = reading.draw(np.random.default_rng(1), 400_000)
    assert times.mean() == pytest.approx(0.1, rel=0.01)
    assert (times**2).mean() == pytest.approx(reading.second, rel=0.02)


def test_arrivals_follow_the_rates_of_the_day() -> None:
    times = waiting_time._arrivals(np.random.default_rng(1), (2.0, 0.0, 20.0, 10.0), 24.0 * 200)
    counts = np.histogram(times % 24, bins=4, range=(0, 24))[0] / 200 / 6
    assert counts.tolist() == pytest.approx([2.0, 0.0, 20.0, 10.0], rel=0.05)


def test_a_test_that_knows_nothing_helps_nobody() -> None:
    scenario = Scenario((8.0,), Reading(0.1), 1, 0.1, 0.5, 0.5, 0.0)
    expected, _ = formula(scenario)
    assert expected["critical", True] == pytest.approx(expected["routine", True])
    perfect, _ = formula(Scenario((8.0,), Reading(0.1), 1, 0.1, 1.0, 1.0, 0.0))
    assert perfect["critical", True] < perfect["critical", False] < perfect["routine", True]


def test_a_distribution_is_summarized() -> None:
    told = summarize(np.arange(101.0))
    assert (told.studies, told.mean, told.median, told.ninetieth) == (101, 50.0, 50.0, 90.0)
    assert math.isnan(summarize(np.empty(0)).mean)


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["worklist", "simulate", "--repeat", "3", *words])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_prints_a_table_and_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "waits.png"
    text = run("--png", str(picture))
    assert run() == text  # the same seed, the same numbers
    assert run("--seed", "2") != text
    assert [line.split()[:2] for line in text.splitlines() if line.startswith(("critical", "routine"))] == [
        ["critical", "without"], ["critical", "with"], ["routine", "without"], ["routine", "with"]
    ]  # fmt: skip
    with Image.open(picture) as image:
        assert image.size == (1500, 660)
        assert len(image.convert("RGB").resize((150, 66)).getcolors(9900) or ()) > 50  # curves, not an empty page


def test_json_and_an_overloaded_room() -> None:
    answer = json.loads(run("--arrivals", "12", "--json"))
    assert answer["load"] == pytest.approx(1.2)
    by = {(line["studies"], line["with_node"]): line for line in answer["lines"]}
    assert by["routine", True]["cobham_mean"] is None
    assert "endless" in run("--arrivals", "12")
    assert "the list grows" in run("--arrivals", "12")


@pytest.mark.parametrize("rates", ["", "x", "1,,2", "-1", "0", "nan", "1e9"])
def test_rates_that_are_none(rates: str) -> None:
    with pytest.raises(ReadFirstError, match="--arrivals"):
        report.imagine(rates, report.Times(6, "constant", 1, 0), report.Test(0.1, 0.9, 0.9), 1, 2, 1)


def test_the_ledgers_studies_are_replayed_as_they_were_flagged(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = 1_790_000_000.0
    found = FoundFinding("chest-xray", "pneumothorax", "probability", 0.9, 0.5, True, "", "HIGH")
    with ledger.write() as connection:
        for number in range(6):  # a study a minute, read in ten minutes; the last one is flagged after half a minute
            uid, now = f"1.2.{number}", begin + 60 * number
            instances.record_instance(connection, stored(f"1.3.{number}", study_instance_uid=uid), "CT", now)
            findings = (found,) if number == 5 else ()
            analysed = AnalysisReport(StudyState.ANALYSED, findings=findings)
            claim(connection, uid, now=now)
            assert studies.finish(connection, uid, 1, analysed, now + 30)
    monkeypatch.setattr("node.worklist.simulation.report.time.time", lambda: begin + 3600)
    times, test = report.Times(10, "constant", 1, 0), report.Test(0.1, 1.0, 1.0)
    answer = report.replay(ledger, 2, times, test, 1, 2, 1)
    assert "6 recorded studies (1 flagged)" in answer.title
    means = {(line.kind, line.with_node): 60 * line.summary.mean for line in answer.times.lines}
    assert means["critical", False] == pytest.approx(45.0)  # five before it, it came five minutes after the first
    assert means["critical", True] == pytest.approx(5.0)  # the second reading of the day is its own
    assert means["routine", True] > means["routine", False]
    with pytest.raises(ReadFirstError, match="no study was received in the last"):
        report.replay(ledger, 0.01, times, test, 1, 2, 1)
