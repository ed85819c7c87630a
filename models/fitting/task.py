"""What a method of fitting is given and gives back.

A method sees the training split alone. It gives back the network of all images, and for each image the logits and
maps of a network that did not see it; `models.training` makes calibration, operating points, thresholds of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.anatomy.lungs import Segment
from models.card import Card, Network
from models.data.datasets import Examples
from models.data.images import read_images
from models.data.slices import read_slices
from models.fitting.heads import Refit
from models.fitting.rows import Rows

Advance = Callable[[str, int, int], None]
"""Called with (stage, done, of all)."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A package to be fitted.

    Attributes
    ----------
    like
        The card that gives input and network; its `localizer` is the method.
    weights
        The published ImageNet weights of the backbone.
    held_out
        Row numbers of each fold, by patient.
    store
        Folder for what is too large for the memory; what is in it was made for the same task.
    device
        Where the backbone computes.
    segment
        Finds the lungs; None where `like` has no [anatomy].
    """

    examples: Examples
    like: Card
    weights: Path
    held_out: tuple[NDArray[np.int64], ...]
    seed: int
    advance: Advance
    store: Path
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    segment: Segment | None = None

    @property
    def network(self) -> Network:
        """The [network] of the card."""
        assert self.like.network is not None
        return self.like.network

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of the network's input."""
        size = self.like.slices.size if self.like.slices else self.like.input.size
        assert size is not None
        return size

    def batches(self, files: Sequence[Path], batch: int) -> Iterator[NDArray[np.float32]]:
        """Batches (n, rows, columns) of image files as the network sees them, in their order."""
        if self.like.slices is None:
            return read_images(files, self.size, batch)
        return read_slices(files, self.like.slices, batch)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A fitted package.

    Attributes
    ----------
    module
        The network of all images, to be stored.
    network
        Its [network] on the card; None for a method that has none.
    logits
        (N, L) of networks that did not see the image, all with the bias of `module`.
    maps
        (N, L, h, w) raw, of the same networks; in memory or on disk.
    penalty
        L2 penalty that was chosen.
    scores
        What was tried, and its mean out-of-fold AUC.
    refit
        Fits the head again, on fewer images, for the learning curve; None where that takes as long as the training.
    method, regions
        Sentences for the card: how it was fitted, and what its maps are; empty where those of `like` are true.
    """

    module: nn.Module
    network: Network | None
    logits: NDArray[np.float64]
    maps: NDArray[np.float32] | Rows
    penalty: float
    scores: dict[str, float] = field(default_factory=dict)
    refit: Refit | None = None
    method: str = ""
    regions: str = ""
