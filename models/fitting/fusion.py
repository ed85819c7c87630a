"""Late fusion: the image's logit beside age, sex and view under a second small head, measured against the image alone.

It is measured out of fold and not shipped: what predicts is given an image and no header.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.data.datasets import Examples
from models.data.tables import column_names
from models.errors import DataError
from models.fitting.task import Fit
from models.metrics.draws import Figure, figure, patient_draws
from models.metrics.ranking import auc_draws

COLUMNS = {"view": 0, "sex": 1, "age": 2}
"""Where `Examples.metadata` has them."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fusion:
    """Of a label the AUC out of fold of the image alone, of both, and their paired difference, by patient."""

    label: str
    image: Figure
    fused: Figure
    difference: Figure


def fused_columns(folder: Path, names: Sequence[str]) -> tuple[int, ...]:
    """Columns of `Examples.metadata` by these names; DataError where there is no such name or column."""
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        raise DataError(f"There is no metadata named {', '.join(unknown)}; there are: {', '.join(sorted(COLUMNS))}.")
    missing = [name for name in names if name not in column_names(folder / "labels.csv")]
    if missing:
        raise DataError(f"{folder / 'labels.csv'} has no column {', '.join(missing)}: add it, or leave it out.")
    return tuple(COLUMNS[name] for name in names)


def fusions(
    examples: Examples, found: Fit, held_out: Sequence[NDArray[np.int64]], columns: Sequence[int]
) -> tuple[Fusion, ...]:
    """Each label with two of each kind, measured; none without columns."""
    if not columns:
        return ()
    weights = np.concatenate([np.ones((1, len(examples))), patient_draws(examples.patients)])
    metadata = examples.metadata[:, list(columns)]
    measured = []
    for index, label in enumerate(examples.labels):
        truth, logit = examples.truth[:, index], found.logits[:, index]
        fused = _fused(np.column_stack([logit, metadata]), truth, held_out)
        if fused is not None:
            areas = auc_draws(logit, truth, weights), auc_draws(fused, truth, weights)
            alone, both, gain = (figure(one[0], one[1:]) for one in (*areas, areas[1] - areas[0]))
            measured.append(Fusion(label, alone, both, gain))
    return tuple(measured)


def _fused(x: Floats, truth: NDArray[np.bool_], held_out: Sequence[NDArray[np.int64]]) -> Floats | None:
    """(N,) scores of heads that did not see the image; None where a fold leaves one kind alone."""
    scaled = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1.0)
    scores = np.zeros(len(x))
    for held in held_out:
        kept = np.setdiff1d(np.arange(len(x)), held)
        if not 0 < truth[kept].sum() < len(kept):
            return None
        head = LogisticRegression(max_iter=1000).fit(scaled[kept], truth[kept])
        scores[held] = head.decision_function(scaled[held]) - head.intercept_  # see `heads.out_of_fold`
    return scores
