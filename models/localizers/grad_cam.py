"""Grad-CAM: activations weighted by their averaged gradients. Selvaraju et al., ICCV 2017.

For global average pooling and a linear layer it is the class activation map, without its negative part, divided by
the number of cells (section 3.1 there, proven in tests): the averaged gradient is the weight over the cells.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from models.localizers.base import register_maps
from models.localizers.gradients import GRADIENT_WEIGHTED, GradientLocalizer

if TYPE_CHECKING:
    from torch import Tensor


@register_maps(
    "grad-cam",
    maps="Grad-CAM map",
    citation="Selvaraju et al., ICCV 2017",
    code=GRADIENT_WEIGHTED,
    regions="Regions are Grad-CAM maps, which for this network are the positive part of class activation maps.",
)
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
