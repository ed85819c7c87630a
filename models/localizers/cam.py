"""Class activation maps: exact for global average pooling and a linear head. Zhou et al., CVPR 2016."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from models.card import Card
from models.localizers import Localizer
from models.localizers.base import NetworkLocalizer, load_network
from models.networks.tapped import SpatialNetwork


class MappedNetwork(SpatialNetwork, Protocol):
    """A network that gives its maps itself."""

    def maps(self, features: tuple[Tensor, ...]) -> Tensor:
        """Each cell's part of the logits: (N, L, h, w)."""
        ...


class CamLocalizer(NetworkLocalizer):
    """Logits and the maps that they are the mean of, all labels in the one forward pass.

    `maps.mean((1, 2)) + bias == logits` for a `CamNetwork`.
    """

    network: MappedNetwork

    def __init__(self, network: MappedNetwork, mean: float, std: float, channels: int = 3) -> None:
        super().__init__(network, mean, std, channels)

    def explain(self, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Logits (N, L) and maps (N, L, h, w) as the network has them."""
        return self.network.classify(features), self.network.maps(features)


def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method with the package's network; see `models.packages.load`."""
    return load_network(CamLocalizer, card, data, device, threads)
