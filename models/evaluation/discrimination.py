"""AUC within each source beside a baseline that sees no image, and the decisions at the threshold of the card."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve

from models.card import Card, Measurement
from models.data.datasets import Examples
from models.evaluation.figures import Calls, Mean
from models.metrics.decisions import calibration_error, decisions, reliability
from models.metrics.draws import figure, patient_draws
from models.metrics.ranking import auc, auc_draws, auc_interval, small_auc_interval

FEWEST_POSITIVES = 10

Cell = tuple[str, int, NDArray[np.bool_]]
"""A source, a label's index, and the rows of the source."""


def cells(examples: Examples) -> Iterator[Cell]:
    """Each label within each source that has ten positives or more, and a negative."""
    for index in range(len(examples.labels)):
        for source in sorted(set(examples.sources.tolist())):
            rows = examples.sources == source
            if FEWEST_POSITIVES <= examples.truth[rows, index].sum() < rows.sum():
                yield source, index, rows


def measurements(
    data: str,
    examples: Examples,
    scores: NDArray[np.float64],
    baseline: NDArray[np.float64] | None,
    card: Card | None = None,
) -> tuple[Measurement, ...]:
    """AUC per label within each source that has ten positives or more; `scores`, `baseline` are (N, L).

    With a card, sensitivity and specificity at its thresholds.
    """
    points = None if card is None else operating_points(card, examples)
    return tuple(
        _measurement(f"{data} {source}", index, rows, examples, scores, baseline, points)
        for source, index, rows in cells(examples)
    )


def few_measurements(data: str, examples: Examples, scores: NDArray[np.float64]) -> tuple[Measurement, ...]:
    """AUC over all sources of each label that has too few positives in each for `measurements`, its interval wide."""
    measured = {index for _, index, _ in cells(examples)}
    found = []
    for index, label in enumerate(examples.labels):
        truth = examples.truth[:, index]
        if index in measured or not 0 < truth.sum() < len(truth):
            continue
        groups = (len(set(examples.patients[rows].tolist())) for rows in (truth, ~truth))
        area = small_auc_interval(auc(scores[:, index], truth), *groups)
        found.append(
            Measurement(
                label=label, data=f"{data} few, all sources", positives=int(truth.sum()), images=len(truth),
                auc=round(area.value, 3), interval=(round(area.low, 3), round(area.high, 3)),
            )
        )  # fmt: skip
    return tuple(found)


def operating_points(card: Card, examples: Examples) -> NDArray[np.float64]:
    """Of the examples' labels, in their order."""
    points = {label.name: label.operating_point for label in card.labels}
    return np.array([points[name] for name in examples.labels])


def _measurement(
    data: str,
    index: int,
    rows: NDArray[np.bool_],
    examples: Examples,
    scores: NDArray[np.float64],
    baseline: NDArray[np.float64] | None,
    points: NDArray[np.float64] | None,
) -> Measurement:
    truth, score = examples.truth[rows, index], scores[rows, index]
    area = auc_interval(score, truth, examples.patients[rows])
    present = None if points is None else score >= points[index]
    return Measurement(
        label=examples.labels[index],
        data=data,
        positives=int(truth.sum()),
        images=len(truth),
        auc=round(area.value, 3),
        interval=(round(area.low, 3), round(area.high, 3)),
        baseline=None if baseline is None else round(auc(baseline[rows, index], truth), 3),
        sensitivity=None if present is None else round(float(present[truth].mean()), 3),
        specificity=None if present is None else round(float((~present[~truth]).mean()), 3),
    )


def means(
    data: str, examples: Examples, scores: NDArray[np.float64], baseline: NDArray[np.float64] | None
) -> tuple[Mean, ...]:
    """Mean AUC within each source over the labels that `measurements` has."""
    measured = list(cells(examples))
    sources = sorted({source for source, _, _ in measured})
    return tuple(
        _mean(
            f"{data} {source}", examples, [index for at, index, _ in measured if at == source], rows, scores, baseline
        )
        for source in sources
        for rows in [examples.sources == source]
    )


def _mean(
    data: str,
    examples: Examples,
    labels: list[int],
    rows: NDArray[np.bool_],
    scores: NDArray[np.float64],
    baseline: NDArray[np.float64] | None,
) -> Mean:
    once = np.ones((1, int(rows.sum())))
    weights = np.concatenate([once, patient_draws(examples.patients[rows])])

    def drawn(values: NDArray[np.float64]) -> NDArray[np.float64]:
        areas = [auc_draws(values[rows, index], examples.truth[rows, index], weights) for index in labels]
        mean: NDArray[np.float64] = np.mean(areas, axis=0)  # a draw without a positive of some label is left out
        return mean

    own, other = drawn(scores), None if baseline is None else drawn(baseline)
    return Mean(
        data,
        len(labels),
        figure(own[0], own[1:]),
        None if other is None else figure(other[0], other[1:]),
        None if other is None else figure(own[0] - other[0], own[1:] - other[1:]),
    )


def calls(data: str, examples: Examples, scores: NDArray[np.float64], card: Card) -> tuple[Calls, ...]:
    """Decisions, calibration and ROC curve of each label within each source that `measurements` has."""
    points = operating_points(card, examples)
    return tuple(
        _calls(f"{data} {source}", examples, index, rows, scores[rows, index], float(points[index]))
        for source, index, rows in cells(examples)
    )


def _calls(
    data: str, examples: Examples, index: int, rows: NDArray[np.bool_], score: NDArray[np.float64], point: float
) -> Calls:
    truth, weights = examples.truth[rows, index], patient_draws(examples.patients[rows])
    false, found, _ = roc_curve(truth, score)
    return Calls(
        label=examples.labels[index],
        data=data,
        images=len(truth),
        positives=int(truth.sum()),
        operating_point=point,
        decisions=decisions(score >= point, truth, weights),
        calibration_error=calibration_error(score, truth, weights),
        reliability=reliability(score, truth),
        roc=tuple((round(float(x), 4), round(float(y), 4)) for x, y in zip(false, found, strict=True)),
    )


def metadata_baseline(train: Examples, test: Examples) -> NDArray[np.float64]:
    """Scores (N, L) of a logistic regression on view, sex, age, follow-up number and source, which sees no image."""
    sources = sorted(set(train.sources.tolist()))
    x, y = _metadata(train, sources), _metadata(test, sources)
    scores = np.zeros((len(test), len(test.labels)))
    for index in range(len(test.labels)):
        if 0 < train.truth[:, index].sum() < len(train):
            scores[:, index] = LogisticRegression(max_iter=1000).fit(x, train.truth[:, index]).decision_function(y)
    return scores


def _metadata(examples: Examples, sources: list[str]) -> NDArray[np.float64]:
    columns = [examples.metadata] + [(examples.sources == source)[:, None].astype(float) for source in sources]
    return np.concatenate(columns, 1)
