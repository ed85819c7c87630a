"""Averaged taps under a head with a hidden layer and dropout: what a backbone is trained under and leaves behind."""

from __future__ import annotations

from torch import Tensor, nn

from models.networks.modules.tapped import TappedNetwork, pooled


class HiddenNetwork(TappedNetwork):
    """Logits of averaged taps; with a hidden layer no map is exact, so no package is made of it.

    Parameters
    ----------
    taps, border
        See `TappedNetwork`.
    hidden
        Units of the hidden layer; 0 none.
    dropout
        Part of what each layer sees that is dropped while `learning` is set.
    """

    def __init__(self, taps: tuple[int, ...], labels: int, border: int, hidden: int, dropout: float) -> None:
        super().__init__(taps, border)
        channels = sum(self.widths)
        self.drops = [nn.Dropout(dropout), nn.Dropout(dropout)]
        inner = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), self.drops[1]) if hidden else nn.Identity()
        self.inside = nn.Sequential(self.drops[0], inner)
        self.head = nn.Linear(hidden or channels, labels)

    def learning(self, on: bool) -> None:
        """Whether dropout drops; normalisation of the backbone stays as it is."""
        for drop in self.drops:
            drop.train(on)

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        """Logits (N, L) of inner features."""
        logits: Tensor = self.head(self.inside(pooled(features) - self.centre))
        return logits
