"""Multiple-instance learning: gated attention weights the cells of each label. Ilse et al., ICML 2018.

An image is a bag of cells of frozen features. Each label has its own attention over them (the softmax of equation 9
there), and each cell its own logit, so that the image's logit is a sum over cells and the map shows which.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.networks.modules.tapped import TappedNetwork, on_one_grid

HIDDEN = 16


class GatedHead(nn.Module):
    """logit = bias + sum over cells of attention x (weight · cell); a new head attends alike to all cells."""

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.content = nn.Linear(width, HIDDEN)
        self.gate = nn.Linear(width, HIDDEN)
        self.attention = nn.Linear(HIDDEN, labels, bias=False)
        self.head = nn.Linear(width, labels)
        nn.init.zeros_(self.attention.weight)

    def evidence(self, cells: Tensor) -> Tensor:
        """Each cell's part of the logits (N, L, cells), of cells (N, cells, width)."""
        return (self.attend(cells) * (cells @ self.head.weight.T)).transpose(1, 2)

    def attend(self, cells: Tensor) -> Tensor:
        """The attention (N, cells, L) of cells (N, cells, width): its sum over cells is 1."""
        hidden = torch.tanh(self.content(cells)) * torch.sigmoid(self.gate(cells))
        return torch.softmax(self.attention(hidden), 1)

    def forward(self, cells: Tensor) -> Tensor:
        """Logits (N, L) of cells (N, cells, width)."""
        return self.evidence(cells).sum(2) + self.head.bias


class MilNetwork(TappedNetwork):
    """The taps on the grid of the coarsest, less `centre`, as cells of a `GatedHead`; parameters as `CamNetwork`'s."""

    def __init__(self, taps: tuple[int, ...], labels: int, border: int = 0, *, deviations: bool = False) -> None:
        super().__init__(taps, border, deviations=deviations)
        self.pool = GatedHead(sum(self.widths), labels)

    def cells(self, features: tuple[Tensor, ...]) -> Tensor:
        """(N, cells, channels of all taps) of inner features, less `centre`."""
        return on_one_grid(features).flatten(2).transpose(1, 2) - self.centre

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        """Logits (N, L) of inner features."""
        logits: Tensor = self.pool(self.cells(features))
        return logits

    def maps(self, features: tuple[Tensor, ...]) -> Tensor:
        """Each cell's part of the logits (N, L, h, w): the sum over cells is the logit without its bias."""
        evidence = self.pool.evidence(self.cells(features))
        return self.framed(evidence.reshape(*evidence.shape[:2], *features[-1].shape[-2:]), features)
