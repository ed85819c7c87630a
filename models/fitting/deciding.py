"""Calibration, operating points and saliency thresholds of labels, on out-of-fold values of images or volumes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.calibration import calibrated, operating_point, platt
from models.card import Calibration, Dot, Label
from models.metrics.decisions import reliability

SPECIFICITY = 0.95  # part of the negatives that stays below the threshold
# Part of the cells below the saliency threshold in positives that are found: small findings cover less.
QUANTILE = 0.90
SMALL_FINDINGS = {"Nodule": 0.97, "Mass": 0.95}
FLOOR = 0.2  # of that quantile, where regions also follow the image's own peak; chosen on boxes of opacity

Cells = Callable[[NDArray[np.int64], int], NDArray[np.float32]]
"""Of row numbers and a label's index: all cells of that label's maps of these rows."""
Quantile = Callable[[Label], float]


def small_findings(label: Label) -> float:
    """The part of an image's cells that stays below the saliency threshold."""
    return SMALL_FINDINGS.get(label.name, QUANTILE)


def decided(labels: Sequence[Label], logits: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[Label, ...]:
    """The labels with calibration, its reliability, and threshold."""
    done = []
    for index, label in enumerate(labels):
        calibration = Calibration(*(round(value, 5) for value in platt(logits[:, index], truth[:, index])))
        probabilities = calibrated(logits[:, [index]].astype(np.float32), [calibration])[:, 0].astype(np.float64)
        point = operating_point(probabilities, truth[:, index], SPECIFICITY)
        dots = tuple(
            Dot(round(one.probability, 4), round(one.frequency, 4), one.images)
            for one in reliability(probabilities, truth[:, index])
        )
        chosen = {"calibration": calibration, "operating_point": point, "reliability": dots, "triage": None}
        done.append(label.model_copy(update=chosen))
    return tuple(done)


def with_saliency_thresholds(
    labels: Sequence[Label],
    cells: Cells,
    probabilities: NDArray[np.float64],
    truth: NDArray[np.bool_],
    quantile: Quantile = small_findings,
) -> tuple[Label, ...]:
    """The labels with saliency thresholds: a quantile of the cells of positives that are found."""
    done = []
    for index, label in enumerate(labels):
        found = _found_positives(probabilities[:, index], truth[:, index], label.operating_point)
        threshold = _saliency_threshold(cells(np.sort(found), index), quantile(label))
        threshold *= FLOOR if label.region_of_peak else 1.0
        done.append(label.model_copy(update={"saliency_threshold": round(threshold, 6)}))
    return tuple(done)


def _saliency_threshold(maps: NDArray[np.float32], quantile: float) -> float:
    """The quantile of all cells to four decimals and four digits; above the lowest value, where rectified maps lie."""
    lowest, threshold = float(maps.min()), float(np.quantile(maps, quantile))
    if threshold <= lowest:
        threshold = float(maps[maps > lowest].min(initial=np.inf))
        threshold = threshold if math.isfinite(threshold) else lowest + 1.0
    digits = 0 if threshold == 0 else math.floor(math.log10(abs(threshold)))
    return round(threshold, max(4, 3 - digits))


def _found_positives(probabilities: NDArray[np.float64], truth: NDArray[np.bool_], point: float) -> NDArray[np.int64]:
    """Row numbers of the positives that reach the threshold, or of the ten most probable where they are fewer."""
    positives = np.flatnonzero(truth)
    ranked = positives[np.argsort(-probabilities[positives], kind="stable")]
    return ranked[: max(10, int((probabilities[ranked] >= point).sum()))]
