"""A power law that is there is found, and chance promises nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data.datasets import Examples
from models.fitting import heads
from models.fitting.forecast import CAUTION, extrapolated, forecast


def test_a_power_law_is_continued() -> None:
    counts = (125, 250, 500, 1000)
    areas = 1 - 2 * np.array(counts, float)[:, None] ** -0.3 + np.zeros((1, 5))
    found = extrapolated(counts, areas, 1000)
    assert found.exponent.value == pytest.approx(0.3, abs=1e-4)
    assert [times for times, _ in found.expected] == [2, 10]
    for times, one in found.expected:
        assert one.value == pytest.approx(1 - 2 * (times * 1000) ** -0.3, abs=1e-4)
    curve, more, caution = found.sentences()
    assert "125 images 0.530, 250 images 0.618" in curve
    assert "2 times as many images 0.80, 10 times as many images 0.87" in more
    assert caution == CAUTION


def test_a_curve_that_falls_promises_no_more() -> None:
    found = extrapolated((10, 20, 40, 80), np.array([[0.7], [0.69], [0.68], [0.67]]), 80)
    assert found.exponent.value == 0.0
    assert found.expected[0][1].value == found.expected[1][1].value == pytest.approx(0.685, abs=1e-3)


def examples(count: int, truth: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> Examples:
    files = tuple(Path(f"{number}.png") for number in range(count))
    sources, teacher = np.full(count, "A"), np.full(truth.shape, np.nan)
    return Examples(files, np.arange(count) // 2, sources, ("Disc",), truth, np.zeros((count, 4)), teacher)


def test_it_is_measured_on_patients_that_the_heads_did_not_see() -> None:
    """Noise learns nothing; a weak signal in many features learns more with more patients."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 60))
    noise, signal = rng.random((800, 1)) < 0.4, (x.sum(1) + 10 * rng.normal(size=800) > 0)[:, None]
    held = heads.folds(np.arange(800) // 2, 5, 0)
    blinded, seeing = (heads.refitted(x, truth, np.eye(60)) for truth in (noise, signal))
    steps = list[tuple[str, int, int]]()
    advance = lambda *step: steps.append(step)  # noqa: E731
    blind = forecast(examples(800, noise), held, blinded, 0.01, 0, advance)
    seen = forecast(examples(800, signal), held, seeing, 0.01, 0, advance)
    assert blind is not None and seen is not None
    assert [count for count, _ in seen.measured] == [80, 160, 320, 640]
    assert all(abs((one.value or 0) - 0.5) < 0.06 for _, one in blind.measured)
    first, last = seen.measured[0][1].value, seen.measured[-1][1].value
    assert first is not None and last is not None and last > first + 0.03
    for (_, one), least in zip(seen.expected, (last, last), strict=True):
        assert one.value is not None and one.low is not None and one.high is not None
        assert least - 0.01 < one.low < one.value < one.high or one.value > least
    assert steps[-1] == ("learning curve", 4, 4)
    assert forecast(examples(800, np.zeros((800, 1), bool)), held, blinded, 0.01, 0, advance) is None
