"""AUC and decisions of labels over whole volumes, of the labels that labels.csv knows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.data.volumes.folders import VolumeExamples
from models.evaluation.figures import Paired
from models.evaluation.volumes.figures import MeanAuc, Ranked
from models.evaluation.volumes.methods import VolumeMethod
from models.evaluation.volumes.summary import Draws
from models.metrics.decisions import decisions
from models.metrics.draws import figure
from models.metrics.ranking import auc_draws

FEWEST = 5  # positives, and negatives, of a label that has an AUC

Scores = dict[str, NDArray[np.float64]]
"""Of a method's labels, (N,) each."""


def measured(examples: VolumeExamples, labels: tuple[str, ...]) -> list[str]:
    """The labels with enough positives and negatives."""
    counts = {label: int(examples.truth[:, index].sum()) for index, label in enumerate(examples.labels)}
    return [label for label in labels if label in counts and FEWEST <= counts[label] <= len(examples) - FEWEST]


def ranked(
    method: VolumeMethod, logits: NDArray[np.float64], examples: VolumeExamples, draws: Draws
) -> Iterator[Ranked]:
    """AUC and decisions of one method; `logits` (N, L) are in the order of its labels."""
    present = method.present(logits)
    for label in measured(examples, method.labels):
        index, truth = method.labels.index(label), examples.truth[:, examples.labels.index(label)]
        area = _areas(logits[:, index], truth, draws)
        at = None if present is None else decisions(present[:, index], truth, draws.weights)
        yield Ranked(
            method=method.name,
            label=label,
            volumes=len(truth),
            positives=int(truth.sum()),
            auc=figure(area[0], area[1:]),
            sensitivity=None if at is None else at.sensitivity,
            specificity=None if at is None else at.specificity,
        )


def mean_auc(
    method: VolumeMethod, logits: NDArray[np.float64], examples: VolumeExamples, draws: Draws
) -> MeanAuc | None:
    """Over the measured labels; a draw without a positive or a negative of some label is left out."""
    labels = measured(examples, method.labels)
    if not labels:
        return None
    area = _mean_areas(labels, method, logits, examples, draws)
    return MeanAuc(method.name, len(labels), len(examples), figure(area[0], area[1:]))


def compared(
    own: tuple[VolumeMethod, NDArray[np.float64]],
    other: tuple[VolumeMethod, NDArray[np.float64]],
    examples: VolumeExamples,
    draws: Draws,
) -> Paired | None:
    """The mean AUC of two methods over the labels that both have."""
    labels = [label for label in measured(examples, own[0].labels) if label in other[0].labels]
    if not labels:
        return None
    mine, theirs = (_mean_areas(labels, *one, examples, draws) for one in (own, other))
    three = (figure(one[0], one[1:]) for one in (mine, theirs, mine - theirs))
    return Paired("mean AUC", f"{len(labels)} labels, {len(examples)} volumes", other[0].name, *three)


def _mean_areas(
    labels: list[str], method: VolumeMethod, logits: NDArray[np.float64], examples: VolumeExamples, draws: Draws
) -> NDArray[np.float64]:
    areas = [
        _areas(logits[:, method.labels.index(label)], examples.truth[:, examples.labels.index(label)], draws)
        for label in labels
    ]
    mean: NDArray[np.float64] = np.mean(areas, axis=0)
    return mean


def _areas(scores: NDArray[np.float64], truth: NDArray[np.bool_], draws: Draws) -> NDArray[np.float64]:
    """AUC of the rows as they are, then of each draw."""
    return auc_draws(scores, truth, np.concatenate([np.ones((1, len(truth))), draws.weights]))
