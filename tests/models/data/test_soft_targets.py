from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data.datasets import Examples
from models.data.soft_targets import SMOOTHING, TEACHER, soft_targets

COUNT = 400
RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.random((COUNT, 2)) < 0.3
SOURCES = np.array(["A", "B"])[RANDOM.integers(0, 2, COUNT)]
SCORES = 1 / (1 + np.exp(-(3.0 * TRUTH - 4.0 + RANDOM.normal(0, 1, TRUTH.shape))))  # ranks well, far too low
KNOWN = RANDOM.random(COUNT) < 0.5
KEPT = np.arange(0, 320)


def examples(truth: np.ndarray = TRUTH) -> Examples:
    teacher = np.where(KNOWN[:, None], SCORES, np.nan)
    files = tuple(Path(f"{row}.png") for row in range(COUNT))
    return Examples(files, np.arange(COUNT), SOURCES, ("One", "Two"), truth, np.zeros((COUNT, 4)), teacher)


def test_a_teacher_is_calibrated_to_the_labels_and_joined_with_them() -> None:
    found = soft_targets(examples(), KEPT)
    known = found[KEPT][KNOWN[KEPT]]
    assert known.mean() == pytest.approx(TRUTH[KEPT][KNOWN[KEPT]].mean(), abs=0.02)
    present = TRUTH[KEPT][KNOWN[KEPT]]
    assert known[present].min() >= 1 - TEACHER
    assert known[~present].max() <= TEACHER
    assert np.corrcoef(known[~present], SCORES[KEPT][KNOWN[KEPT]][~present])[0, 1] > 0.8


def test_without_a_teacher_labels_are_smoothed_towards_their_source() -> None:
    found = soft_targets(examples(), KEPT)
    for source in "AB":
        rows = (source == SOURCES) & ~KNOWN
        frequency = TRUTH[KEPT][SOURCES[KEPT] == source].mean(0)
        expected = (1 - SMOOTHING) * TRUTH[rows] + SMOOTHING * frequency
        np.testing.assert_allclose(found[rows], expected)


def test_labels_that_are_held_out_change_no_target_of_others() -> None:
    turned = TRUTH.copy()
    turned[320:] = ~turned[320:]
    np.testing.assert_array_equal(soft_targets(examples(turned), KEPT)[KEPT], soft_targets(examples(), KEPT)[KEPT])


def test_a_label_that_the_teacher_saw_in_all_images_is_smoothed() -> None:
    truth = TRUTH.copy()
    truth[:, 1] = True
    assert soft_targets(examples(truth), KEPT)[:, 1] == pytest.approx(1.0)
