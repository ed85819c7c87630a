"""What of a package is one fixed computation, as a module that can be traced: scores and maps of one input tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from models.card import Calibration, Network


class ImageGraph(nn.Module):
    """Intensities (N, 1, rows, columns) of 0..1 to whatever `explain` makes of the network's features.

    Parameters
    ----------
    network
        A `SpatialNetwork`.
    table
        The card's [network]: scaling, mean, std and channels become part of the computation.
    """

    def __init__(
        self, network: nn.Module, table: Network | None, explain: Callable[[tuple[Tensor, ...]], Sequence[Tensor]]
    ) -> None:
        super().__init__()
        self.network, self.table, self.explain = network, table, explain

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        if self.table is None:
            return tuple(self.explain(self.network.features(x.expand(-1, 3, -1, -1))))  # type: ignore[operator]
        x = (_scaled(x, self.table.scaling) - self.table.mean) / self.table.std
        return tuple(self.explain(self.network.features(x.expand(-1, self.table.channels, -1, -1))))  # type: ignore[operator]


class Calibrated(nn.Module):
    """A graph whose first output are logits (…, L), with the probabilities of the card behind them.

    `models.calibration.probabilities_of` is the same in NumPy.
    """

    slope: Tensor
    intercept: Tensor
    pivot: Tensor

    def __init__(self, graph: nn.Module, calibrations: Sequence[Calibration], activation: str) -> None:
        super().__init__()
        self.scores, self.activation = graph, activation
        self.straight = all(one.pivot == 0.5 for one in calibrations)
        for name, values in zip(("slope", "intercept", "pivot"), zip(*calibrations, strict=True), strict=True):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(logits, probabilities, …)."""
        logits, *others = self.scores(x)
        score = logits * self.slope + self.intercept
        if self.activation == "softmax":
            return logits, score.softmax(-1), *others
        p = score.sigmoid()
        low, high = p / (2 * self.pivot), 1 - (1 - p) / (2 * (1 - self.pivot))
        return logits, p if self.straight else torch.where(p < self.pivot, low, high), *others


def _scaled(x: Tensor, scaling: str) -> Tensor:
    """Each image as `models.loaded.scaled` has it."""
    if scaling == "none":
        return x
    pixels = (1, 2, 3)
    if scaling == "range":
        low, high = x.amin(pixels, keepdim=True), x.amax(pixels, keepdim=True)
        return (x - low) / _or_one(high - low)
    middle = x.mean(pixels, keepdim=True)
    return (x - middle) / _or_one((x - middle).square().mean(pixels, keepdim=True).sqrt())


def _or_one(width: Tensor) -> Tensor:
    return torch.where(width == 0, 1.0, width)
