"""The network "unet-3d": a U-Net of residual units for volumes that gives a mask for each label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.networks.registry import register

if TYPE_CHECKING:
    from models.card import Network
    from models.networks.modules.unet import UNet


@register(
    "unet-3d",
    citation="Cicek et al., 3D U-Net, MICCAI 2016, with residual units as in MONAI's UNet",
    channels=(1,),
    volumes=True,
)
def build(table: Network, labels: int) -> UNet:
    """See `models.networks.registry.Build`."""
    from models.networks.modules.unet import UNet

    return UNet(table.channels, labels, volumes=True)
