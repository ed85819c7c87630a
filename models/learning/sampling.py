"""Which image is shown when; a pure function of the seed and the epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

AUGMENT, ORDER = 1, 2  # so that no two things draw the same numbers


class Draw(NamedTuple):
    """An image (row number) and the seed of what is done to it."""

    row: int
    seed: int


def balanced_weights(truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How often each of N images is drawn when first a label, then one of its images is, all alike; their sum is 1.

    Images without any label are a label of their own. Class-aware sampling of Shen et al., Relay Backpropagation,
    ECCV 2016, for several labels an image.
    """
    classes = np.column_stack([truth, ~truth.any(1)]).astype(np.float64)
    classes = classes[:, classes.any(0)]
    weights: NDArray[np.float64] = (classes / classes.sum(0)).sum(1) / classes.shape[1]
    return weights


def source_weights(sources: NDArray[np.str_], given: Mapping[str, float]) -> NDArray[np.float64]:
    """How often each of N images is drawn: as its source's weight, of all images alike; their sum is 1.

    Parameters
    ----------
    given
        A weight an image of each source, 1 where it is not named; empty: sources are drawn all alike.
    """
    names, of, counts = np.unique(sources, return_inverse=True, return_counts=True)
    each = np.array([given.get(str(name), 1.0) for name in names]) if given else 1.0 / counts
    weights: NDArray[np.float64] = each[of] / each[of].sum()
    return weights


def plan(count: int, batch: int, seed: int, epoch: int, weights: NDArray[np.float64] | None = None) -> list[list[Draw]]:
    """The batches of an epoch, all of the same size: what is left over after the last is not shown in this epoch.

    Parameters
    ----------
    count
        Of images.
    weights
        (count,) of the chances of a draw with replacement; None: each image once, in some order.
    """
    rng = np.random.default_rng([seed, epoch, ORDER])
    rows = rng.permutation(count) if weights is None else rng.choice(count, count, p=weights)
    seeds = np.random.default_rng([seed, epoch, AUGMENT]).integers(2**32, size=count)
    draws = [Draw(int(row), int(one)) for row, one in zip(rows, seeds, strict=True)]
    return [draws[start : start + batch] for start in range(0, count - batch + 1, batch)]


def endless(count: int, batch: int, seed: int, epoch: int, steps: int) -> list[list[Draw]]:
    """So many batches of an epoch, all images in some order again and again."""
    times = -(-steps * batch // (count - count % batch))
    again = [part for time in range(times) for part in plan(count, batch, seed, epoch * times + time)]
    return again[:steps]


def in_order(count: int, batch: int, seed: int) -> list[list[Draw]]:
    """All images once in their order, always with the same seeds; the last batch may be smaller."""
    seeds = np.random.default_rng([seed, AUGMENT]).integers(2**32, size=count)
    draws = [Draw(row, int(one)) for row, one in enumerate(seeds)]
    return [draws[start : start + batch] for start in range(0, count, batch)]
