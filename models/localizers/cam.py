"""Class activation maps: exact for global average pooling and a linear head. Zhou et al., CVPR 2016."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.card import Code
from models.localizers.base import NetworkLocalizer, Scale, register_maps

if TYPE_CHECKING:
    from torch import Tensor

    from models.networks.protocols import MappedNetwork


@register_maps(
    "cam",
    maps="class activation map",
    citation="Zhou et al., CVPR 2016",
    code=Code("130402", "DCM", "Class activation"),
    regions="Regions are class activation maps: they show what raised the score and outline nothing.",
)
class CamLocalizer(NetworkLocalizer):
    """Logits and the maps that they are the mean of, all labels in the one forward pass.

    `maps.mean((1, 2)) + bias == logits` for a `CamNetwork`.
    """

    network: MappedNetwork

    def __init__(self, network: MappedNetwork, mean: Scale, std: Scale, channels: int = 3) -> None:
        super().__init__(network, mean, std, channels)

    def explain(self, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Logits (N, L) and maps (N, L, h, w) as the network has them."""
        return self.network.classify(features), self.network.maps(features)
