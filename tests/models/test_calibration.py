from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from models.calibration import (
    calibrated,
    least_threshold,
    operating_point,
    platt,
    present,
    probabilities_of,
    sigmoid,
    temperature,
)
from models.card import Calibration
from tests.models import slice_phantoms


def test_platt_finds_the_scale_that_was_hidden() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=40_000) * 3
    truth = rng.random(40_000) < sigmoid(0.5 * logits - 1)
    slope, intercept, _ = platt(logits, truth)
    assert slope == pytest.approx(0.5, abs=0.02)
    assert intercept == pytest.approx(-1, abs=0.04)


def test_platt_never_turns_a_bad_label_around() -> None:
    logits = np.linspace(-2, 2, 100)
    calibration = platt(logits, logits < -1)
    assert calibration.slope == 0
    assert sigmoid(np.array(calibration.intercept)) == pytest.approx(0.25, abs=0.02)


def test_platt_stays_finite_where_classes_are_apart() -> None:
    logits = np.array([-900.0, -800.0, 800.0, 900.0])
    calibration = platt(logits, logits > 0)
    assert np.isfinite(calibration).all()
    assert calibrated(logits[None].T.astype(np.float32), [calibration])[-1, 0] > 0.7


def test_probabilities_take_each_labels_own_scale() -> None:
    logits = np.array([[2.0, 2.0, -1000.0]], np.float32)
    found = calibrated(logits, [Calibration(1, 0), Calibration(0.5, -1), Calibration(1, 0)])
    np.testing.assert_allclose(found, [[0.880797, 0.5, 0.0]], atol=1e-6)
    assert found.dtype == np.float32


def test_the_operating_point_keeps_its_specificity() -> None:
    rng = np.random.default_rng(1)
    probabilities, truth = rng.random(2000), rng.random(2000) < 0.3
    point = operating_point(probabilities, truth, 0.95)
    assert (probabilities[~truth] < point).mean() == pytest.approx(0.95, abs=0.002)


def test_the_least_threshold_never_misses_the_specificity() -> None:
    rng = np.random.default_rng(2)
    for count in range(1, 80):
        negatives = rng.random(count)
        threshold = least_threshold(negatives, 0.95)
        assert (negatives < threshold).mean() >= 0.95
        assert (negatives < threshold - 1.01e-4).mean() < 0.95
    assert least_threshold(np.full(30, 0.25), 0.95) == 0.2501
    assert least_threshold(np.ones(30), 0.95) == 1.0


def test_temperature_finds_the_scale_that_was_hidden() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3)) * 2
    drawn = np.array([rng.choice(3, p=row) for row in softmax(0.6 * logits, 1)])
    assert temperature(logits, drawn[:, None] == np.arange(3)) == pytest.approx(0.6, abs=0.03)


def test_exclusive_probabilities_are_vector_scaled_and_add_up_to_one() -> None:
    card = slice_phantoms.card()
    scales = (Calibration(2.0, 0.0), Calibration(0.5, 1.0), Calibration(1.0, -1.0))
    labels = [one.model_copy(update={"calibration": scale}) for one, scale in zip(card.labels, scales, strict=True)]
    card = card.model_copy(update={"labels": tuple(labels)})
    logits = np.array([[1.0, 2.0, 3.0], [900.0, -900.0, 0.0]])
    found = probabilities_of(card, logits)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(found[0], softmax([2.0, 2.0, 2.0]), atol=1e-6)


def test_of_exclusive_classes_the_most_probable_alone_is_present() -> None:
    card = slice_phantoms.card()
    probabilities = np.array([[0.3, 0.3, 0.4], [0.5, 0.1, 0.4]])
    assert present(card, probabilities).tolist() == [[False, False, True], [True, False, False]]
    strict = [one.model_copy(update={"operating_point": 0.45}) for one in card.labels]
    card = card.model_copy(update={"labels": tuple(strict)})
    assert present(card, probabilities).tolist() == [[False, False, False], [True, False, False]]
