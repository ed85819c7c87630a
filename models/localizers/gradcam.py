"""Grad-CAM: activations weighted by their averaged gradients. Selvaraju et al., ICCV 2017.

For global average pooling and a linear layer it is the class activation map, without its negative part, divided by
the number of cells (section 3.1 there, proven in tests): the averaged gradient is the weight over the cells.
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


class GradCamLocalizer(GradientLocalizer):
    """ReLU of the sum over channels of averaged gradient times activation."""

    def closed(self, weight: Tensor, tap: Tensor) -> Tensor:
        """See `GradientLocalizer.closed`."""
        return functional.conv2d(tap, weight[:, :, None, None] / math.prod(tap.shape[-2:]))

    def part(self, gradient: Tensor, tap: Tensor) -> Tensor:
        """See `GradientLocalizer.part`."""
        return torch.einsum("nlc,nchw->nlhw", gradient.mean((-2, -1)), tap)


def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method with the package's network; see `models.packages.load`."""
    return load_network(GradCamLocalizer, card, data, device, threads)
