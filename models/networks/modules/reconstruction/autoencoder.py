"""Reconstruction residual: an autoencoder that saw only images without a finding cannot draw one.

Baur et al., Autoencoders for unsupervised anomaly segmentation in brain MR images, Medical Image Analysis 69 (2021).
The residual knows no label: all labels have the same map, and a label's logit is linear in the residual of 64 places.
What draws the image again is one of three: `Autoencoder` at 64 x 64, and at the input's own size `DenoisingUNet` and
`VariationalAutoencoder` (in `denoising` and `variational`).
"""

from __future__ import annotations

import itertools
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE = 64  # pixels of what the autoencoder sees
GRID = 32  # cells of the map at each side
CELLS = 8  # at each side, of the residual that the head sees
WIDTHS = (16, 32, 16)  # channels at each halving; 8 x 8 x 16 numbers are what it keeps of an image


class Autoencoder(nn.Module):
    """Three halvings and three doublings, nothing that goes around them."""

    def __init__(self) -> None:
        super().__init__()
        wide = (1, *WIDTHS)
        halvings, doublings = list[nn.Module](), list[nn.Module]()
        for inputs, outputs in itertools.pairwise(wide):
            halvings += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ELU()]
            doublings = [nn.ConvTranspose2d(outputs, inputs, 4, stride=2, padding=1), nn.ELU(), *doublings]
        self.encoder = nn.Sequential(*halvings[:-1])
        self.decoder = nn.Sequential(*doublings[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """The image (N, 1, 64, 64) as drawn again."""
        drawn: Tensor = self.decoder(self.encoder(x))
        return drawn

    def loss(self, x: Tensor) -> Tensor:
        """Mean absolute error of images."""
        error: Tensor = (self(x) - x).abs().mean()
        return error


class Drawer(Protocol):
    """What draws images again; a `torch.nn.Module`."""

    def __call__(self, x: Tensor) -> Tensor:
        """Images (N, 1, rows, columns) of intensity 0..1 as drawn again."""
        ...

    def loss(self, x: Tensor) -> Tensor:
        """What training on normal images makes small."""
        ...


class ReconstructionNetwork(nn.Module):
    """logit = bias + weight · (residual of 8 x 8 places - centre).

    Parameters
    ----------
    autoencoder
        A `Drawer`; None: `Autoencoder`.
    side
        Pixels of what it sees, rows and columns; None: the input as it is.
    """

    centre: Tensor

    def __init__(self, labels: int, autoencoder: nn.Module | None = None, side: int | None = SIDE) -> None:
        super().__init__()
        self.autoencoder, self.side = autoencoder or Autoencoder(), side
        self.head = nn.Linear(CELLS**2, labels)
        self.register_buffer("centre", torch.zeros(CELLS**2))

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """The mean absolute residual (N, 1, 32, 32) of images (N, C, rows, columns) of intensity 0..1."""
        seen = x[:, :1] if self.side is None else functional.adaptive_avg_pool2d(x[:, :1], self.side)
        residual = (seen - self.autoencoder(seen)).abs()
        return (functional.adaptive_avg_pool2d(residual, GRID),)

    def cells(self, features: tuple[Tensor, ...]) -> Tensor:
        """What the head sees: (N, 64)."""
        return functional.adaptive_avg_pool2d(features[0], CELLS).flatten(1)

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        """Logits (N, L) of the residual."""
        logits: Tensor = self.head(self.cells(features) - self.centre)
        return logits

    def maps(self, features: tuple[Tensor, ...]) -> Tensor:
        """The residual for every label: (N, L, 32, 32)."""
        return features[0].expand(-1, self.head.out_features, -1, -1)
