from __future__ import annotations

import numpy as np
import pytest

from models.evaluation.classes.figures import ClassEvaluation
from models.evaluation.classes.levels import level, measurements
from models.evaluation.classes.tables import tables

GROUPS = np.repeat(np.arange(12), 5)
CLASSES = np.repeat(np.arange(12) % 3, 5)
TRUTH = CLASSES[:, None] == np.arange(3)
SURE = np.where(TRUTH, 0.8, 0.1)
WRONG = SURE.copy()
WRONG[CLASSES == 2] = [0.1, 0.8, 0.1]  # a class that is always taken for another


def test_a_level_counts_what_is_true_against_what_was_said() -> None:
    found = level("images", WRONG, TRUTH, GROUPS)
    assert found.confusion == ((20, 0, 0), (0, 20, 0), (0, 20, 0))
    assert found.accuracy.value == pytest.approx(2 / 3, abs=1e-4)
    assert found.balanced_accuracy.value == pytest.approx(2 / 3, abs=1e-4)
    assert [one.value for one in found.recalls] == [1, 1, 0]
    assert found.majority.value == pytest.approx(1 / 3, abs=1e-4)
    assert found.one_vs_rest[2].value == pytest.approx(0.5)
    assert found.macro.value == pytest.approx((1 + 0.75 + 0.5) / 3, abs=1e-4)
    first, _, third = measurements("validation, images", ("A", "B", "C"), found)
    assert (first.sensitivity, first.specificity, first.positives, first.images) == (1, 1, 20, 60)
    assert (third.sensitivity, third.specificity) == (0, 1)


def test_intervals_are_of_groups() -> None:
    rng = np.random.default_rng(0)
    noisy = np.where(rng.random((12, 1)) < 0.5, SURE[::5], SURE[::5][:, [1, 2, 0]])  # right or wrong, a group at once
    by_group = level("images", np.repeat(noisy, 5, 0), TRUTH, GROUPS).accuracy
    by_image = level("images", np.repeat(noisy, 5, 0), TRUTH, np.arange(60)).accuracy
    assert by_group.low is not None and by_group.high is not None
    assert by_image.low is not None and by_image.high is not None
    assert by_group.high - by_group.low > 1.7 * (by_image.high - by_image.low)


def test_tables_hold_the_confusion_matrix_and_its_figures() -> None:
    found = level("images", WRONG, TRUTH, GROUPS)
    evaluation = ClassEvaluation("p", "1.0.0", "d", "data", "validation", ("A", "B_b", "C"), 12, (found,))
    (columns, rows), (names, counts) = tables(evaluation)
    assert columns[1] == "figure"
    assert ("validation, 60 images", "balanced accuracy", "0.67", "0.33") in [
        (*row[:2], row[2][:4], row[3]) for row in rows
    ]
    assert names == ("images: true \\ predicted", "A", "B b", "C")
    assert counts[2] == ("C", "0", "20", "0")
    assert evaluation.as_json()["measured"][0]["data"] == "validation, images"
