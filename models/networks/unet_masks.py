"""The network "unet-masks": a U-Net of residual units that gives a mask for each label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.networks.registry import register

if TYPE_CHECKING:
    from models.card import Network
    from models.networks.modules.unet import UNet


@register("unet-masks", citation="Ronneberger et al., U-Net, MICCAI 2015, with residual units as in MONAI's UNet")
def build(table: Network, labels: int) -> UNet:
    """See `models.networks.registry.Build`."""
    from models.networks.modules.unet import UNet

    return UNet(table.channels, labels)
