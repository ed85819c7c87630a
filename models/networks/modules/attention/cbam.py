"""Attention trained with the task: CBAM on the last tap, and what it lets through. Woo et al., ECCV 2018.

Channel attention from the average and the largest value of each channel, then spatial attention from those over the
channels (7 x 7 convolution). A label's map is the spatial attention times its evidence in the channels that passed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.modules.tapped import TappedNetwork

REDUCTION = 16
KERNEL = 7


class Cbam(nn.Module):
    """Channel and spatial attention; both are one half everywhere in a new one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // REDUCTION)
        self.excite = nn.Linear(channels // REDUCTION, channels)
        self.where = nn.Conv2d(2, 1, KERNEL, padding=KERNEL // 2)
        for parameter in (*self.excite.parameters(), *self.where.parameters()):
            nn.init.zeros_(parameter)

    def channel(self, x: Tensor) -> Tensor:
        """What passes of each channel, (N, c) in 0..1, of features (N, c, h, w)."""
        both = (self.excite(functional.relu(self.squeeze(one))) for one in (x.mean((2, 3)), x.amax((2, 3))))
        return torch.sigmoid(sum(both, start=x.new_zeros(())))

    def spatial(self, x: Tensor) -> Tensor:
        """What passes of each cell, (N, 1, h, w) in 0..1."""
        return torch.sigmoid(self.where(torch.stack([x.mean(1), x.amax(1)], 1)))

    def forward(self, x: Tensor) -> Tensor:
        """What is left of features (N, c, h, w)."""
        x = x * self.channel(x)[:, :, None, None]
        return x * self.spatial(x)


class AttendedHead(nn.Module):
    """logit = bias + weight · (mean over cells of what CBAM leaves of the features)."""

    def __init__(self, channels: int, labels: int) -> None:
        super().__init__()
        self.cbam = Cbam(channels)
        self.head = nn.Linear(channels, labels)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, L) of features (N, c, h, w)."""
        logits: Tensor = self.head(self.cbam(x).mean((2, 3)))
        return logits

    def evidence(self, x: Tensor) -> Tensor:
        """Each cell's part of the logits (N, L, h, w): the mean over cells is the logit without its bias."""
        return functional.conv2d(self.cbam(x), self.head.weight[:, :, None, None])


class AttentionNetwork(TappedNetwork):
    """The last tap, less `centre`, under an `AttendedHead`; parameters as `CamNetwork`'s."""

    def __init__(self, taps: tuple[int, ...], labels: int, border: int = 0) -> None:
        super().__init__(taps, border)
        self.attended = AttendedHead(self.widths[-1], labels)

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        """Logits (N, L) of inner features."""
        logits: Tensor = self.attended(self.centred(features)[-1])
        return logits

    def maps(self, features: tuple[Tensor, ...]) -> Tensor:
        """Attention times class evidence, (N, L, h, w) on the grid of the last tap."""
        return self.framed(self.attended.evidence(self.centred(features)[-1]), features)
