"""A U-Net of residual units for masks: MONAI's, with its batch normalizations folded for inference.

Ronneberger, Fischer, Brox, MICCAI 2015; residual units of Kerfoot et al., STACOM 2018 (`monai.networks.nets.UNet`); of
volumes Cicek et al., 3D U-Net, MICCAI 2016.
"""

from __future__ import annotations

from typing import Any

from monai.networks.nets.unet import UNet as MonaiUNet
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

WIDTHS = (16, 32, 64, 128, 256)
VOLUME_WIDTHS = (12, 24, 48, 96, 128)
STRIDE = 16  # input pixels a cell of the lowest level: its rows, columns and slices are multiples of it
_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)
_TRANSPOSED = (nn.ConvTranspose2d, nn.ConvTranspose3d)
_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, *_TRANSPOSED)


class UNet(nn.Module):
    """Logits of masks at the input's size: one mask of images, or of volumes as many as are asked for."""

    def __init__(self, channels: int = 1, masks: int = 1, *, volumes: bool = False) -> None:
        super().__init__()
        dimensions, widths = (3, VOLUME_WIDTHS) if volumes else (2, WIDTHS)
        halvings = (2,) * (len(widths) - 1)
        self.backbone = MonaiUNet(dimensions, channels, masks, widths, halvings, num_res_units=2, norm="BATCH")

    def forward(self, x: Tensor) -> Tensor:
        """(N, masks, rows, columns) of an input (N, channels, rows, columns), or both with slices before the rows."""
        logits: Tensor = self.backbone(x)
        return logits

    def features(self, x: Tensor) -> tuple[Tensor]:
        """The logits as the one tap: `models.networks.protocols.SpatialNetwork`."""
        return (self(x),)

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        """The largest logit of each mask, (N, masks)."""
        return features[0].flatten(2).amax(2)

    def fold(self) -> None:
        """See `models.networks.protocols.Foldable`."""
        for module in self.backbone.modules():
            adn: Any = getattr(module, "adn", None)
            norm = getattr(adn, "N", None)
            conv = getattr(module, "conv", None)
            if isinstance(norm, _NORMS) and isinstance(conv, _CONVOLUTIONS):
                module.conv = fuse_conv_bn_eval(conv, norm, transpose=isinstance(conv, _TRANSPOSED))
                adn.N = nn.Identity()
