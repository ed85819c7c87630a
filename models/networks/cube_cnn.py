"""The network "cube-cnn": a small 3D CNN that scores whether the middle of a cube is a nodule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.networks.registry import register

if TYPE_CHECKING:
    from models.card import Network
    from models.networks.modules.cubes import CubeNetwork


@register("cube-cnn", citation="after Setio et al., LUNA16, Medical Image Analysis 42 (2017)", channels=(1,))
def build(table: Network, labels: int) -> CubeNetwork:
    """See `models.networks.registry.Build`."""
    from models.networks.modules.cubes import CubeNetwork

    return CubeNetwork(table.channels, labels)
