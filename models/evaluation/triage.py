"""Operating points for triage: where a label may raise a study's priority, and how often normal images would be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.calibration import least_threshold
from models.card import LEAST_SPECIFICITY, Card, Interval, Label, TriagePoint
from models.data.datasets import Examples, label_columns, read_examples
from models.evaluation.discrimination import cells
from models.evaluation.figures import NormalAlerts
from models.metrics.decisions import decisions
from models.metrics.draws import Figure, figure, patient_draws
from models.metrics.ranking import within_draws

NORMAL = "No_Finding"  # the column of labels.csv


def triage_points(card: Card, data: str, examples: Examples, scores: NDArray[np.float64]) -> dict[str, TriagePoint]:
    """Figures of each label with enough positives, at the card's operating point for triage.

    For a label whose card has none, the operating point is chosen on these images.

    Parameters
    ----------
    data
        Names the split.
    scores
        (N, L) probabilities of the labels of `examples`.
    """
    sources: dict[str, list[str]] = defaultdict(list)
    for source, index, _ in cells(examples):
        sources[examples.labels[index]].append(source)
    return {
        label.name: _point(label, data, sources[label.name], examples, scores)
        for label in card.labels
        if label.name in sources
    }


def without_triage(card: Card) -> Card:
    """The card without operating points for triage, so that new ones are chosen."""
    return with_triage(card, {})


def with_missing_triage(card: Card, points: Mapping[str, TriagePoint]) -> Card:
    """The card with these operating points for triage where it has none of its own."""
    own = {label.name: label.triage for label in card.labels if label.triage}
    return with_triage(card, {**points, **own})


def with_triage(card: Card, points: Mapping[str, TriagePoint]) -> Card:
    """The card with these operating points for triage, and none for other labels."""
    labels = tuple(label.model_copy(update={"triage": points.get(label.name)}) for label in card.labels)
    return card.model_copy(update={"labels": labels})


def _point(
    label: Label, data: str, sources: Sequence[str], examples: Examples, scores: NDArray[np.float64]
) -> TriagePoint:
    rows, index = np.isin(examples.sources, sources), examples.labels.index(label.name)
    truth, score = examples.truth[rows, index], scores[rows, index]
    if label.triage is None:
        threshold = max(least_threshold(score[~truth], LEAST_SPECIFICITY), label.operating_point)
    else:
        threshold = label.triage.threshold
    weights = patient_draws(examples.patients[rows])
    once = np.concatenate([np.ones((1, len(truth))), weights])
    area, *drawn = within_draws(score, truth, examples.sources[rows], once)
    made = decisions(score >= threshold, truth, weights)
    ranked = figure(area, np.array(drawn))
    point = TriagePoint(
        data=f"{data} {', '.join(sources)}",
        threshold=threshold,
        positives=int(truth.sum()),
        negatives=int((~truth).sum()),
        sensitivity=made.sensitivity.value or 0.0,
        sensitivity_interval=_interval(made.sensitivity),
        specificity=made.specificity.value or 0.0,
        specificity_interval=_interval(made.specificity),
        auc=ranked.value or 0.0,
        auc_interval=_interval(ranked) or (ranked.value or 0.0,) * 2,
        raises_priority=False,
    )
    return point.model_copy(update={"raises_priority": not point.objection})


def _interval(one: Figure) -> Interval | None:
    return None if one.low is None or one.high is None else (one.low, one.high)


def normal_images(folder: Path, split: str) -> NDArray[np.bool_]:
    """(N,) images of the split that labels.csv calls normal; none where it has no such column."""
    named = label_columns(folder, (NORMAL,))
    truth = read_examples(folder, split, named).truth
    return truth[:, 0] if named else np.zeros(len(truth), np.bool_)


def normal_alerts(card: Card, normal: NDArray[np.bool_], patients: NDArray[np.int64],
                  scores: NDArray[np.float64]) -> NormalAlerts | None:  # fmt: skip
    """How often images without a finding would be raised to HIGH; None where there is none.

    Parameters
    ----------
    normal
        (N,) images without a finding.
    scores
        (N, L) probabilities of the card's labels.
    """
    if not normal.any():
        return None
    high = [(index, label) for index, label in enumerate(card.labels) if label.urgency == "HIGH"]
    raised, present = np.zeros(len(normal), np.bool_), np.zeros(len(normal), np.bool_)
    for index, label in high:
        present |= scores[:, index] >= label.operating_point
        raised |= np.array([label.raises(float(score)) for score in scores[:, index]])
    weights = patient_draws(patients[normal])

    def share(flags: NDArray[np.bool_]) -> Figure:
        return figure(float(flags[normal].mean()), weights @ flags[normal] / weights.sum(1))

    return NormalAlerts(
        images=int(normal.sum()),
        labels=tuple(label.name for _, label in high if label.triage and label.triage.raises_priority),
        high=share(raised),
        present=share(present),
    )
