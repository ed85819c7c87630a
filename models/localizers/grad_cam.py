"""Grad-CAM: activations weighted by their averaged gradients. Selvaraju et al., ICCV 2017.

For global average pooling and a linear layer it is the class activation map, without its negative part, divided by
the number of cells (section 3.1 there, proven in tests): the averaged gradient is the weight over the cells.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from models.localizers.base import load_network
from models.localizers.gradients import GRADIENT_WEIGHTED, GradientLocalizer
from models.localizers.registry import register

if TYPE_CHECKING:
    from torch import Tensor

    from models.card import Card
    from models.fitting.task import Fit, Task
    from models.localizers.registry import Localizer

REGIONS = "Regions are Grad-CAM maps, which for this network are the positive part of class activation maps."


class GradCamLocalizer(GradientLocalizer):
    """ReLU of the sum over channels of averaged gradient times activation."""

    def closed(self, weight: Tensor, tap: Tensor) -> Tensor:
        """See `GradientLocalizer.closed`."""
        from torch.nn import functional

        return functional.conv2d(tap, weight[:, :, None, None] / math.prod(tap.shape[-2:]))

    def part(self, gradient: Tensor, tap: Tensor) -> Tensor:
        """See `GradientLocalizer.part`."""
        import torch

        return torch.einsum("nlc,nchw->nlhw", gradient.mean((-2, -1)), tap)


def fit(task: Task) -> Fit:
    """The linear head of `cam`, under these maps."""
    from models.fitting import linear

    return linear.fit(task, GradCamLocalizer, REGIONS)


@register("grad-cam", maps="Grad-CAM map", citation="Selvaraju et al., ICCV 2017", code=GRADIENT_WEIGHTED, fit=fit)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method with the package's network; see `models.packages.load`."""
    return load_network(GradCamLocalizer, card, data, device, threads)
