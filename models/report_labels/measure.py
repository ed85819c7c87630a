"""Labels against a truth: precision, recall and F1 of each label, micro and macro F1, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError
from models.report_labels.labeler import Assertion, Labels
from models.report_labels.rules import NO_FINDING
from models.report_labels.truth import Truth

REPLICATES = 1000  # of the bootstrap over reports
SEED = 0
Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Score:
    """One line of the table; None where nothing was there to divide by."""

    label: str
    positives: int
    precision: float | None
    recall: float | None
    f1: float | None
    interval: tuple[float, float] | None
    """95 % of `f1`, reports resampled with replacement."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How labels agree with a truth on the reports that both have."""

    reports: int
    without_report: int
    """Rows of the truth whose report was not given; they are not counted."""
    scores: tuple[Score, ...]
    micro: Score
    """Over the findings, No_Finding left out: it is the easiest label and the most frequent."""
    macro: Score
    micro_with_no_finding: Score

    def as_json(self) -> dict[str, object]:
        """The same as plain values."""
        return asdict(self)


def agreement(labeled: Mapping[str, Labels], truth: Truth, uncertain: Assertion) -> Agreement:
    """Compare the labels of reports, by name, with a truth. A report with nothing to read counts as all 0.

    Raises
    ------
    DataError
        No report of the truth is among the labelled ones.
    """
    rows = [row for row, name in enumerate(truth.reports) if name in labeled]
    if not rows:
        raise DataError(f'no report of the truth is there; it names reports like "{truth.reports[0]}".')
    predicted = [[labeled[truth.reports[row]].value(label, uncertain) for label in truth.labels] for row in rows]
    counts = _counts(np.array(predicted, bool), truth.values[rows])
    replicates = _replicates(counts)
    total = counts.sum(0)
    findings = [at for at, label in enumerate(truth.labels) if label != NO_FINDING]
    return Agreement(
        reports=len(rows),
        without_report=len(truth.reports) - len(rows),
        scores=tuple(
            _score(label, total[[at]].sum(0), replicates[:, [at]].sum(1)) for at, label in enumerate(truth.labels)
        ),
        micro=_score("micro", total[findings].sum(0), replicates[:, findings].sum(1)),
        macro=_macro(total[findings], replicates[:, findings]),
        micro_with_no_finding=_score("micro with No_Finding", total.sum(0), replicates.sum(1)),
    )


def _counts(predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> Counts:
    """(reports, labels, 3): true positives, false positives, false negatives."""
    return np.stack([predicted & true, predicted & ~true, ~predicted & true], axis=-1).astype(np.float64)


def _replicates(counts: Counts) -> Counts:
    """(replicates, labels, 3): sums of reports drawn with replacement."""
    reports = len(counts)
    drawn = np.random.default_rng(SEED).multinomial(reports, np.full(reports, 1 / reports), size=REPLICATES)
    sums = drawn.astype(np.float64) @ counts.reshape(reports, -1)
    return sums.reshape(REPLICATES, *counts.shape[1:])


def _f1(counts: Counts) -> NDArray[np.float64]:
    """F1 over the last axis; NaN where a label is neither predicted nor true."""
    double, missed = 2 * counts[..., 0], counts[..., 1] + counts[..., 2]
    f1 = np.full(double.shape, np.nan)
    np.divide(double, double + missed, out=f1, where=double + missed > 0)
    return f1


def _score(label: str, total: Counts, replicates: Counts) -> Score:
    hit, false, missed = total
    return Score(
        label=label,
        positives=int(hit + missed),
        precision=_ratio(hit, hit + false),
        recall=_ratio(hit, hit + missed),
        f1=_number(_f1(total)),
        interval=_interval(_f1(replicates)),
    )


def _macro(total: Counts, replicates: Counts) -> Score:
    """The mean F1 of the labels that have one."""
    positives = int((total[:, 0] + total[:, 2]).sum())
    interval = _interval(np.array([_mean(one) for one in _f1(replicates)]))
    return Score("macro", positives, None, None, _number(np.float64(_mean(_f1(total)))), interval)


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _ratio(part: float, whole: float) -> float | None:
    return round(float(part / whole), 4) if whole else None


def _number(value: NDArray[np.float64] | np.float64) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def _interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
    known = values[~np.isnan(values)]
    if not known.size:
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    return round(float(low), 4), round(float(high), 4)
