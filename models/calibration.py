"""From logits to probabilities, and from probabilities to a decision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from models.card import Calibration, Card
from models.classes import ordinal


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)) without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def calibrated(logits: NDArray[np.float32], calibrations: Sequence[Calibration]) -> NDArray[np.float32]:
    """Probabilities (…, L) of logits (…, L)."""
    slope, intercept, pivot = np.asarray(calibrations, np.float64).T
    return stretched(sigmoid(logits * slope + intercept), pivot).astype(np.float32)


def probabilities_of(card: Card, logits: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Probabilities (…, L) of a card's labels by its calibration; those of exclusive classes and of grades add up to 1.

    Of grades the first logit, which no network has, is of no meaning.
    """
    calibrations = [label.calibration for label in card.labels]
    if card.activation == "sigmoid":
        return calibrated(logits.astype(np.float32, copy=False), calibrations)
    slope, intercept, _ = np.asarray(calibrations, np.float64).T
    if card.activation == "ordinal":
        return ordinal.of_cumulative(sigmoid(logits * slope + intercept)[..., 1:]).astype(np.float32)
    return np.asarray(softmax(logits * slope + intercept, -1), np.float32)


def present(card: Card, probabilities: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Which labels (…, L) are present: those that reach their operating point, of exclusive classes the first of all.

    Of ordinal grades it is the median one.

    The most probable class is absent, too, where it does not reach its operating point (0: it always does).
    """
    points = np.array([label.operating_point for label in card.labels])
    reached: NDArray[np.bool_] = np.asarray(probabilities, np.float64) >= points
    if card.activation == "sigmoid":
        return reached
    decided: NDArray[np.bool_] = np.arange(len(points)) == decision(card, probabilities)[..., None]
    return decided if card.activation == "ordinal" else reached & decided


def decision(card: Card, probabilities: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """The class (…,) of exclusive ones (…, L): the most probable, of ordinal grades the median."""
    if card.activation == "ordinal":
        return ordinal.grade(probabilities)
    return np.asarray(np.asarray(probabilities).argmax(-1), np.intp)


def temperature(
    logits: NDArray[np.float64], truth: NDArray[np.bool_], weights: NDArray[np.float64] | None = None
) -> float:
    """The slope, one for all classes, of the largest likelihood: 1 / T of Guo et al., ICML 2017, section 4.2.

    `logits` (N, L) must come from models that did not see these images; `truth` (N, L) has one class a row.
    """
    weight = np.ones(len(logits)) if weights is None else weights

    def loss(log_slope: float) -> float:
        return -float((weight * log_softmax(math.exp(log_slope) * logits, -1)[truth]).sum())

    return math.exp(float(minimize_scalar(loss, bounds=(-5.0, 5.0), method="bounded").x))


def stretched(p: NDArray[np.float64], pivot: NDArray[np.float64]) -> NDArray[np.float64]:
    """0..1 by two straight lines that take `pivot` to one half: op_norm of TorchXRayVision (Cohen et al., 2022)."""
    return np.where(p < pivot, p / (2 * pivot), 1 - (1 - p) / (2 * (1 - pivot)))


def platt(logits: NDArray[np.float64], truth: NDArray[np.bool_]) -> Calibration:
    """Slope and intercept of Platt, 1999, by Newton's method on his smoothed targets.

    `logits` must come from models that did not see these images. A slope below 0 would turn a worse-than-chance label
    around; it is set to 0, and the probability is the prevalence.
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    target = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.stack([logits, np.ones_like(logits)], 1)
    theta = np.zeros(2)
    for _ in range(100):
        p = sigmoid(design @ theta)
        hessian = (design.T * (p * (1 - p))) @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, design.T @ (p - target))
        theta -= step / max(1.0, float(np.abs(step).max()) / 2)
        if np.abs(step).max() < 1e-9:
            break
    if theta[0] <= 0:
        prevalence = float(target.mean())
        return Calibration(0.0, float(np.log(prevalence / (1 - prevalence))))
    return Calibration(float(theta[0]), float(theta[1]))


def operating_point(probabilities: NDArray[np.float64], truth: NDArray[np.bool_], specificity: float) -> float:
    """The probability that this part of the negatives stays below, just above the quantile, to four digits."""
    quantile = float(np.quantile(probabilities[~truth], specificity))
    return min(round(quantile + 5e-5, 4), 1.0)


def least_threshold(negatives: NDArray[np.float64], specificity: float) -> float:
    """The smallest threshold, to four digits, that at least this part of the negatives stays below; at most 1."""
    highest = float(np.sort(negatives)[math.ceil(specificity * len(negatives)) - 1])
    return min(math.floor(highest * 1e4 + 1) / 1e4, 1.0)
