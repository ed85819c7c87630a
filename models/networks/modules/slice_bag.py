"""Slices of a chest as a bag: a linear head on each slice, gated attention over slices. Ilse et al., ICML 2018.

A slice has its own logits, those of global average pooling and a linear layer; the bag's are their mean under one
attention for all classes, so that exclusive classes stay comparable. Attention that is 0 is the plain mean.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.networks.modules.tapped import CamNetwork

HIDDEN = 16


class SliceAttention(nn.Module):
    """Weights (n,) of a bag's slices that add up to 1, of their pooled features (n, C) less the centre."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.content = nn.Linear(width, HIDDEN)
        self.gate = nn.Linear(width, HIDDEN)
        self.score = nn.Linear(HIDDEN, 1, bias=False)
        nn.init.zeros_(self.score.weight)

    def forward(self, slices: Tensor) -> Tensor:
        hidden = torch.tanh(self.content(slices)) * torch.sigmoid(self.gate(slices))
        return torch.softmax(self.score(hidden)[:, 0], 0)


class SliceBag(CamNetwork):
    """A `CamNetwork` of slices and the attention over them; parameters as `CamNetwork`'s."""

    def __init__(self, taps: tuple[int, ...], labels: int, border: int = 0, *, deviations: bool = False) -> None:
        super().__init__(taps, labels, border, deviations=deviations)
        self.attention = SliceAttention(sum(self.widths))

    def weights(self, slices: Tensor) -> Tensor:
        """The attention (n,) of slices by their pooled features (n, C)."""
        weights: Tensor = self.attention(slices - self.centre)
        return weights

    def bag_logits(self, slices: Tensor) -> Tensor:
        """Logits (L,) of a bag by the pooled features (n, C) of its slices."""
        return self.weights(slices) @ self.pooled_logits(slices)
