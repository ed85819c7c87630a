"""Linear heads on pooled features: logistic regression with a strong L2 penalty, folds by patient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.model_selection import GroupKFold

from models.calibration import sigmoid
from models.errors import DataError
from models.fitting.rows import Table, everything, parts
from models.metrics.ranking import auc

CHUNK = 4096  # rows in memory
TRIES = 200  # of folds
OPTIONS = {"maxiter": 3000, "maxfun": 6000, "maxcor": 20, "ftol": 1e-11, "gtol": 1e-6}
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Refit = Callable[[NDArray[np.int64], float], Callable[[NDArray[np.int64]], Floats]]
"""Of (rows, penalty): the logits (n, L), less the bias, of other rows by a head that is fitted on those rows alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """logits = bias + (features - centre) @ weight.T; weight (L, C), bias (L,), centre (C,)."""

    weight: Floats
    bias: Floats
    centre: Floats

    def logits(self, features: Floats) -> Floats:
        """(N, L) of features (N, C)."""
        return (features - self.centre) @ self.weight.T + self.bias

    def logits_of(self, features: Table, rows: NDArray[np.int64]) -> Floats:
        """(n, L) of some rows of features (N, C)."""
        return np.concatenate([self.logits(features[some]) for some in parts(rows, CHUNK)])


def whitening(covariance: Floats) -> Floats:
    """Matrix (C, C) after which features vary alike in all directions from cell to cell within an image.

    A penalty on weights there is one on the variance of the class activation map, so the heads get calm maps: what
    differs between images counts, not what differs within every image. A tenth of the diagonal keeps it invertible.
    """
    values, vectors = np.linalg.eigh(covariance + 0.1 * np.diag(np.diag(covariance)) + 1e-9 * np.eye(len(covariance)))
    whiten: Floats = vectors / np.sqrt(values)
    return whiten


def fit(features: Table, truth: Flags, penalty: float, whiten: Floats, rows: NDArray[np.int64] | None = None) -> Head:
    """One logistic regression a label on whitened features, all in one L-BFGS over parts of the rows.

    The objective is the mean over images of the labels' summed cross-entropies and half the penalty on the squares of
    the whitened weights; `penalty` is per image, so it does not grow with N. `rows`: fitted on these alone.
    """
    rows = everything(len(features)) if rows is None else rows
    some = parts(rows, CHUNK)
    centre = np.sum([features[part].sum(0) for part in some], axis=0) / len(rows)
    width, labels = len(whiten), truth.shape[1]

    def objective(theta: Floats) -> tuple[float, Floats]:
        weight, bias = theta[:-labels].reshape(width, labels), theta[-labels:]
        unwhitened, value = whiten @ weight, 0.5 * penalty * float((weight**2).sum())
        gradient, offset = np.zeros_like(unwhitened), np.zeros(labels)
        for part in some:
            x = features[part] - centre
            logits, positive = x @ unwhitened + bias, truth[part]
            value += float(np.logaddexp(0, np.where(positive, -logits, logits)).sum()) / len(rows)
            residual = (sigmoid(logits) - positive) / len(rows)
            gradient += x.T @ residual
            offset += residual.sum(0)
        return value, np.concatenate([(whiten.T @ gradient + penalty * weight).ravel(), offset])

    start = np.zeros((width + 1) * labels)
    start[-labels:] = np.log((truth[rows].sum(0) + 0.5) / ((~truth[rows]).sum(0) + 0.5))
    found = minimize(objective, start, method="L-BFGS-B", jac=True, options=OPTIONS)
    if found.nit >= OPTIONS["maxiter"]:
        raise DataError(f"The linear head did not converge in {found.nit} iterations.")
    weight = whiten @ found.x[:-labels].reshape(width, labels)
    return Head(weight.T.copy(), found.x[-labels:].copy(), centre)


def folds(patients: NDArray[np.int64], count: int, seed: int) -> tuple[NDArray[np.int64], ...]:
    """Row numbers held out in each fold; the images of one patient stay together."""
    splitter = GroupKFold(count, shuffle=True, random_state=seed)
    return tuple(held for _, held in splitter.split(patients, groups=patients))


def spread_folds(
    patients: NDArray[np.int64], truth: Flags, labels: Sequence[str], count: int, seed: int
) -> tuple[NDArray[np.int64], ...]:
    """`folds` in which whatever is held out leaves images with and without each label: of the first such seed.

    Raises
    ------
    DataError
        There are fewer patients than folds, or a label has fewer than two patients with it or without it.
    """
    if len(set(patients.tolist())) < count:
        raise DataError(f"Too few patients to train: {len(set(patients.tolist()))}, and {count} folds need {count}.")
    lacking = [name for name, has in zip(labels, truth.T, strict=True) if min(_both(patients, has)) < 2]
    if lacking:
        raise DataError(
            f"Too few patients to train: {', '.join(lacking)} (two with it and two without it are needed, so that"
            " each can be held out): add images, or remove their [[labels]] from the card."
        )
    for tried in range(TRIES):
        held_out = folds(patients, count, (seed + 1000 * tried) % 2**32)
        kept = (np.setdiff1d(np.arange(len(patients)), held) for held in held_out)
        if all((truth[rows].any(0) & ~truth[rows].all(0)).all() for rows in kept):
            return held_out
    raise DataError(f"No {count} folds of patients leave images with and without each label: add images.")


def few_patients(patients: NDArray[np.int64], truth: Flags, labels: Sequence[str], fewest: int) -> tuple[str, ...]:
    """Of each label with fewer than so many positive images, in words how few."""
    return tuple(
        f"{name.replace('_', ' ')} ({has.sum()} of {len(set(patients[has].tolist()))} patients)"
        for name, has in zip(labels, truth.T, strict=True)
        if has.sum() < fewest
    )


def _both(patients: NDArray[np.int64], has: Flags) -> tuple[int, int]:
    return len(set(patients[has].tolist())), len(set(patients[~has].tolist()))


def fold_heads(
    features: Table, truth: Flags, held_out: Sequence[NDArray[np.int64]], penalty: float, whiten: Floats
) -> list[Head]:
    """For each fold the head that did not see it."""
    kept = [np.setdiff1d(np.arange(len(features)), held) for held in held_out]
    return [fit(features, truth, penalty, whiten, rows) for rows in kept]


def refitted(features: Table, truth: Flags, whiten: Floats) -> Refit:
    """Heads of other rows; see `Refit`."""

    def refit(rows: NDArray[np.int64], penalty: float) -> Callable[[NDArray[np.int64]], Floats]:
        head = fit(features, truth, penalty, whiten, rows)
        return lambda some: head.logits_of(features, some) - head.bias

    return refit


def out_of_fold(features: Table, held_out: Sequence[NDArray[np.int64]], heads: Sequence[Head], bias: Floats) -> Floats:
    """Logits (N, L) of images by heads that did not see them.

    All folds take the same `bias` (that of the head of all images): a fold's own bias is low where the fold holds many
    positives, which would count against the ranking.
    """
    logits = np.zeros((len(features), len(bias)))
    for rows, head in zip(held_out, heads, strict=True):
        logits[rows] = head.logits_of(features, rows) - head.bias + bias
    return logits


def mean_auc(logits: Floats, truth: Flags, sources: NDArray[np.str_], fewest: int) -> float:
    """Mean over sources of the mean AUC of labels with at least `fewest` positives there.

    Where no source has so many of any label, all sources count as one, and labels with one positive.
    """
    if not any(
        fewest <= count < (sources == source).sum()
        for source in set(sources)
        for count in truth[sources == source].sum(0)
    ):
        sources, fewest = np.full(len(sources), "all"), 1
    means = []
    for source in sorted(set(sources.tolist())):
        rows = sources == source
        counts = truth[rows].sum(0)
        usable = [i for i, count in enumerate(counts) if fewest <= count < rows.sum()]
        means += [np.mean([auc(logits[rows, i], truth[rows, i]) for i in usable])] if usable else []
    return float(np.mean(means))
