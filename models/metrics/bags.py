"""Bags of images: those of one group and one class, so that each bag has one class even where a group has two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Bags:
    """B bags of N images.

    Attributes
    ----------
    index
        (N,) the bag of each image.
    truth
        (B, L), one class a bag.
    groups
        (B,) the group of each bag.
    """

    index: NDArray[np.intp]
    truth: NDArray[np.bool_]
    groups: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def share(self) -> NDArray[np.float64]:
        """(N,) one over the images of the bag: each bag counts as one."""
        weights: NDArray[np.float64] = 1.0 / np.bincount(self.index)[self.index]
        return weights

    @property
    def balanced(self) -> NDArray[np.float64]:
        """(N,) weights of mean 1 under which classes count alike, and bags of one class, too."""
        weights, classes = self.share, self.truth.argmax(1)[self.index]
        totals = np.bincount(classes, weights, self.truth.shape[1])[classes]
        weights = weights / totals
        return np.asarray(weights / weights.mean(), np.float64)

    def rows(self, bag: int) -> NDArray[np.int64]:
        """Numbers of the bag's images."""
        return np.flatnonzero(self.index == bag)


def bags_of(groups: NDArray[np.int64], truth: NDArray[np.bool_]) -> Bags:
    """The bags of images with these groups (N,) and classes (N, L)."""
    pairs, index = np.unique(np.stack([groups, truth.argmax(1)], 1), axis=0, return_inverse=True)
    return Bags(index.ravel(), pairs[:, 1][:, None] == np.arange(truth.shape[1]), pairs[:, 0].astype(np.int64))
