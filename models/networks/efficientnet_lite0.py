"""The network "efficientnet-lite0": averaged taps of EfficientNet-Lite0 under one linear layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.networks.registry import register

if TYPE_CHECKING:
    from models.card import Network
    from models.networks.modules.tapped import CamNetwork


@register(
    "efficientnet-lite0",
    citation="Tan and Le, EfficientNet, ICML 2019, without squeeze and excitation (Lite)",
    blocks=16,
    channels=(3,),
)
def build(table: Network, labels: int) -> CamNetwork:
    """See `models.networks.registry.Build`."""
    from models.networks.modules.tapped import CamNetwork

    return CamNetwork(table.taps, labels, table.border, deviations=table.deviations)
