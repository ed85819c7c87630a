"""A small 3D CNN of cubes around candidates, as in Setio et al., LUNA16, Medical Image Analysis 42 (2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIDE = 20  # voxels of a cube: 40 mm at 2 mm
WIDTHS = (12, 24, 48)
DROPPED = 0.3


class CubeNetwork(nn.Module):
    """One logit a cube: how much its middle looks like a nodule."""

    def __init__(self, channels: int = 1, labels: int = 1) -> None:
        super().__init__()
        stages, before = [], channels
        for width in WIDTHS:
            stages.append(nn.Sequential(_unit(before, width), _unit(width, width)))
            before = width
        self.backbone = nn.ModuleList(stages)
        self.dropout = nn.Dropout(DROPPED)
        self.head = nn.Linear(2 * before, labels)

    def features(self, x: Tensor) -> tuple[Tensor]:
        """(N, c, 5, 5, 5) of cubes (N, channels, side, side, side)."""
        for number, stage in enumerate(self.backbone):
            x = stage(x if number == 0 else nn.functional.max_pool3d(x, 2))
        return (x,)

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        """(N, labels): of the mean over all cells, and of the middle ones."""
        whole, middle = features[0].mean((2, 3, 4)), features[0][:, :, 1:-1, 1:-1, 1:-1].amax((2, 3, 4))
        logits: Tensor = self.head(self.dropout(torch.cat([whole, middle], 1)))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """(N, labels) of cubes (N, channels, side, side, side)."""
        return self.classify(self.features(x))


def _unit(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(before, after, 3, padding=1, bias=False), nn.BatchNorm3d(after), nn.ReLU())
