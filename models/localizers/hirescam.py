"""HiResCAM: gradient times activation in each cell, nothing averaged. Draelos and Carin, arXiv 2011.08891, 2020.

Where `classify` is linear in the features the cells of a map add up to the logit without its constant: each says what
it contributed. For global average pooling it is the class activation map divided by the number of cells.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from models.card import Card
from models.localizers import Localizer
from models.localizers.base import load_network
from models.localizers.gradients import GradientLocalizer


class HiResCamLocalizer(GradientLocalizer):
    """Sum over channels of gradient times activation; negative where a cell lowered the logit."""

    rectified = False

    def closed(self, weight: Tensor, tap: Tensor) -> Tensor:
        """See `GradientLocalizer.closed`."""
        return functional.conv2d(tap, weight[:, :, None, None] / math.prod(tap.shape[-2:]))

    def part(self, gradient: Tensor, tap: Tensor) -> Tensor:
        """See `GradientLocalizer.part`."""
        return torch.einsum("nlchw,nchw->nlhw", gradient, tap)


def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method with the package's network; see `models.packages.load`."""
    return load_network(HiResCamLocalizer, card, data, device, threads)
