"""HiResCAM: gradient times activation in each cell, nothing averaged. Draelos and Carin, arXiv 2011.08891, 2020.

Where `classify` is linear in the features the cells of a map add up to the logit without its constant: each says what
it contributed. For global average pooling it is the class activation map divided by the number of cells.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from models.localizers.base import register_maps
from models.localizers.gradients import GRADIENT_WEIGHTED, GradientLocalizer

if TYPE_CHECKING:
    from torch import Tensor


@register_maps(
    "hirescam",
    maps="HiResCAM map",
    citation="Draelos and Carin, arXiv 2011.08891, 2020",
    code=GRADIENT_WEIGHTED,
    regions="Regions are HiResCAM maps, which for this network are class activation maps divided by the cells.",
)
class HiResCamLocalizer(GradientLocalizer):
    """Sum over channels of gradient times activation; negative where a cell lowered the logit."""

    rectified = False

    def closed(self, weight: Tensor, tap: Tensor) -> Tensor:
        """See `GradientLocalizer.closed`."""
        from torch.nn import functional

        return functional.conv2d(tap, weight[:, :, None, None] / math.prod(tap.shape[-2:]))

    def part(self, gradient: Tensor, tap: Tensor) -> Tensor:
        """See `GradientLocalizer.part`."""
        import torch

        return torch.einsum("nlchw,nchw->nlhw", gradient, tap)
