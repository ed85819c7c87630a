"""A small 3D CNN: residual units of MONAI, a score for each label in each cell, and one pooling over the volume."""

from __future__ import annotations

import math

import torch
from monai.networks.blocks.convolutions import Convolution, ResidualUnit
from torch import Tensor, nn

CELL = 8  # input voxels along each axis that one cell of the maps covers
WIDTHS = (12, 24, 48)
SHARPNESS = 4.0


class Cnn3d(nn.Module):
    """logit = bias + log-mean-exp over cells of their scores: between their mean and their largest.

    A pooling that is sharper than the mean lets a small lesion count (Pinheiro and Collobert, CVPR 2015, equation 5).
    """

    def __init__(self, labels: int, channels: int = 3) -> None:
        super().__init__()
        first, second, third = WIDTHS
        self.backbone = nn.Sequential(
            Convolution(3, channels, first, strides=2, kernel_size=3, norm="INSTANCE", act="RELU"),
            ResidualUnit(3, first, second, strides=2, subunits=2, norm="INSTANCE", act="RELU"),
            ResidualUnit(3, second, third, strides=2, subunits=2, norm="INSTANCE", act="RELU"),
        )
        self.head = nn.Conv3d(third, labels, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(labels))

    def scores(self, x: Tensor) -> Tensor:
        """Of each cell (N, L, d, h, w) of an input (N, channels, slices, rows, columns) with multiples of `CELL`."""
        scores: Tensor = self.head(self.backbone(x))
        return scores

    def pooled(self, scores: Tensor) -> Tensor:
        """Logits (N, L) of scores."""
        cells = math.prod(scores.shape[2:])
        sharp = torch.logsumexp(SHARPNESS * scores.flatten(2), 2) - math.log(cells)
        return sharp / SHARPNESS + self.bias

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, L)."""
        return self.pooled(self.scores(x))
