"""Grad-CAM++: activations weighted by positive gradients, each with its own share. Chattopadhay et al., WACV 2018.

With the exponential of the logit as the score, whose derivatives are powers of the logit's gradient g (there, section
3.3), a cell's share is g² / (2 g² + g³ times the sum of the channel's activations), and 0 where g or the divisor is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.localizers.base import register_maps
from models.localizers.gradients import GRADIENT_WEIGHTED, GradientLocalizer

if TYPE_CHECKING:
    from torch import Tensor


@register_maps(
    "grad-cam++",
    maps="Grad-CAM++ map",
    citation="Chattopadhay et al., WACV 2018",
    code=GRADIENT_WEIGHTED,
    regions="Regions are Grad-CAM++ maps: channels with a negative weight are left out, so they show less of what the"
    " score is made of than class activation maps do.",
)
class GradCamPlusPlusLocalizer(GradientLocalizer):
    """ReLU of the sum over channels of (sum over cells of share times positive gradient) times activation."""

    def closed(self, weight: Tensor, tap: Tensor) -> Tensor:
        """See `GradientLocalizer.closed`; with g = weight / cells the cells cancel out."""
        from torch.nn import functional

        divisor = 2 + weight * tap.mean((2, 3))[:, None]
        return _weighted(_quotient(functional.relu(weight), divisor), tap)

    def part(self, gradient: Tensor, tap: Tensor) -> Tensor:
        """See `GradientLocalizer.part`; g² is cancelled out of the share, so that small gradients stay exact."""
        import torch
        from torch.nn import functional

        share = _quotient(torch.ones_like(gradient), 2 + gradient * tap.sum((2, 3))[:, None, :, None, None])
        return _weighted((share * functional.relu(gradient)).sum((-2, -1)), tap)


def _weighted(weights: Tensor, tap: Tensor) -> Tensor:
    """Sum over channels: (N, L, h, w) of weights (N, L, c) and a tap (N, c, h, w)."""
    import torch

    return torch.einsum("nlc,nchw->nlhw", weights, tap)


def _quotient(value: Tensor, divisor: Tensor) -> Tensor:
    import torch

    return torch.where(divisor == 0, 0, value / divisor)
