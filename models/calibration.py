"""From logits to probabilities, and from probabilities to a decision."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.card import Calibration


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)) without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def calibrated(logits: NDArray[np.float32], calibrations: Sequence[Calibration]) -> NDArray[np.float32]:
    """Probabilities (…, L) of logits (…, L)."""
    slope, intercept, pivot = np.asarray(calibrations, np.float64).T
    return stretched(sigmoid(logits * slope + intercept), pivot).astype(np.float32)


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
