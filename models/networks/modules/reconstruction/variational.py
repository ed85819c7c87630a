"""A variational autoencoder of images: Kingma and Welling, ICLR 2014; its latent has places, as in Baur et al. 2021."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

WIDTHS = (16, 32, 64, 64)  # channels at each halving
LATENT = 8  # numbers of each place of 16 x 16 pixels
STRIDE = 16
DIVERGENCE = 1e-3  # weight of the divergence from the normal distribution, of each number, beside the absolute error


class VariationalAutoencoder(nn.Module):
    """A `Drawer` at the input's own size, whose sides are multiples of `STRIDE`; nothing goes around its latent."""

    def __init__(self) -> None:
        super().__init__()
        halvings, doublings = list[nn.Module](), list[nn.Module]()
        for inputs, outputs in itertools.pairwise((1, *WIDTHS)):
            halvings += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ELU()]
            doublings = [nn.ELU(), nn.ConvTranspose2d(outputs, inputs, 4, stride=2, padding=1), *doublings]
        self.encoder = nn.Sequential(*halvings, nn.Conv2d(WIDTHS[-1], 2 * LATENT, 1))
        self.decoder = nn.Sequential(nn.Conv2d(LATENT, WIDTHS[-1], 1), *doublings)

    def forward(self, x: Tensor) -> Tensor:
        """The image (N, 1, rows, columns) as drawn again from the mean of its latent."""
        drawn: Tensor = self.decoder(self.latent(x)[0])
        return drawn

    def latent(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance, each (N, LATENT, rows / 16, columns / 16)."""
        mean, logarithm = self.encoder(x).chunk(2, 1)
        return mean, logarithm

    def loss(self, x: Tensor) -> Tensor:
        """Mean absolute error of what a drawn latent gives, and the latent's divergence from normal."""
        mean, logarithm = self.latent(x)
        drawn: Tensor = self.decoder(mean + torch.randn_like(mean) * (logarithm / 2).exp())
        return (drawn - x).abs().mean() + DIVERGENCE * divergence(mean, logarithm)


def divergence(mean: Tensor, logarithm: Tensor) -> Tensor:
    """Kullback-Leibler divergence of normal distributions from the standard one, mean over all numbers."""
    return (mean.square() + logarithm.exp() - 1 - logarithm).mean() / 2
