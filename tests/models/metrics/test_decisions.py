from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score

from models.metrics.decisions import calibration_error, decisions, reliability
from models.metrics.draws import patient_draws

RNG = np.random.default_rng(0)
TRUTH = RNG.random(400) < 0.3
PROBABILITIES = np.clip(0.3 * TRUTH + RNG.random(400) * 0.7, 0, 1)
WEIGHTS = patient_draws(np.arange(400) // 2, draws=200)


def test_decisions_are_those_of_scikit_learn() -> None:
    present = PROBABILITIES >= 0.4
    found = decisions(present, TRUTH, WEIGHTS)
    assert found.called == present.sum()
    assert found.sensitivity.value == pytest.approx(recall_score(TRUTH, present), abs=1e-4)
    (passed, false), _ = confusion_matrix(TRUTH, present)
    assert found.specificity.value == pytest.approx(passed / (passed + false), abs=1e-4)
    assert found.precision.value == pytest.approx(precision_score(TRUTH, present), abs=1e-4)
    assert found.f1.value == pytest.approx(f1_score(TRUTH, present), abs=1e-4)
    for one in (found.sensitivity, found.specificity, found.precision, found.f1):
        assert one.low is not None and one.value is not None and one.high is not None
        assert one.low < one.value < one.high


def test_where_nothing_is_called_there_is_no_precision() -> None:
    found = decisions(np.zeros(400, np.bool_), TRUTH, WEIGHTS)
    assert found.precision.value is None
    assert (found.sensitivity.value, found.specificity.value) == (0.0, 1.0)
    assert (found.sensitivity.low, found.sensitivity.high) == (None, None)


@pytest.mark.parametrize("bins", [5, 10, 15])
def test_the_calibration_error_is_that_of_torchmetrics(bins: int) -> None:
    pytest.importorskip("torchmetrics", reason="needs PyPI torchmetrics")
    import torch
    from torchmetrics.functional.classification import binary_calibration_error

    expected = binary_calibration_error(torch.from_numpy(PROBABILITIES), torch.from_numpy(TRUTH).int(), bins, "l1")
    found = calibration_error(PROBABILITIES, TRUTH, WEIGHTS, bins)
    assert found.value == pytest.approx(float(expected), abs=1e-4)
    rows = reliability(PROBABILITIES, TRUTH, bins)
    by_bins = sum(row.images * abs(row.probability - row.frequency) for row in rows) / len(TRUTH)
    assert found.value == pytest.approx(by_bins, abs=1e-4)
    assert sum(row.images for row in rows) == len(TRUTH)


def test_a_probability_of_1_is_in_the_last_bin() -> None:
    (only,) = reliability(np.array([1.0, 0.95]), np.array([True, False]))
    assert (only.low, only.high, only.images, only.frequency) == (0.9, 1.0, 2, 0.5)
