"""Random numbers of one seeded generator, a number for each image of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")


class Draws:
    """Draws for batches of `count` images; what is drawn has the shape (count, 1, 1, 1)."""

    def __init__(self, generator: torch.Generator, count: int) -> None:
        self.generator, self.count = generator, count

    def between(self, low: float, high: float) -> Tensor:
        """Evenly between the two."""
        return torch.rand(self.count, 1, 1, 1, generator=self.generator) * (high - low) + low

    def factor(self, largest: float) -> Tensor:
        """Between 1 / largest and largest, evenly in its logarithm."""
        return largest ** self.between(-1.0, 1.0)

    def some(self, part: float) -> Tensor:
        """True for that part of the images."""
        return torch.rand(self.count, 1, 1, 1, generator=self.generator) < part

    def once(self, part: float) -> bool:
        """True for that part of the batches."""
        return float(torch.rand((), generator=self.generator)) < part

    def normal(self, *shape: int) -> Tensor:
        """(count, *shape) of the standard normal distribution."""
        return torch.randn(self.count, *shape, generator=self.generator)

    def choice(self, items: Sequence[Item]) -> Item:
        """One of them, each alike."""
        return items[int(torch.randint(len(items), (), generator=self.generator))]
