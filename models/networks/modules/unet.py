"""A U-Net of residual units for one mask: MONAI's, with its batch normalizations folded for inference.

Ronneberger, Fischer, Brox, MICCAI 2015; residual units of Kerfoot et al., STACOM 2018 (`monai.networks.nets.UNet`).
"""

from __future__ import annotations

from typing import Any

from monai.networks.nets.unet import UNet as MonaiUNet
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

WIDTHS = (16, 32, 64, 128, 256)
STRIDE = 16  # input pixels a cell of the lowest level: rows and columns are multiples of it


class UNet(nn.Module):
    """Logits of one mask at the input's size."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        halvings = (2,) * (len(WIDTHS) - 1)
        self.backbone = MonaiUNet(2, channels, 1, WIDTHS, halvings, num_res_units=2, norm="BATCH")

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, rows, columns) of an input (N, channels, rows, columns)."""
        logits: Tensor = self.backbone(x)
        return logits

    def features(self, x: Tensor) -> tuple[Tensor]:
        """The logits as the one tap: `models.networks.protocols.SpatialNetwork`."""
        return (self(x),)

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        """The largest logit of each image, (N, 1)."""
        return features[0].amax((2, 3))

    def fold(self) -> None:
        """See `models.networks.protocols.Foldable`."""
        for module in self.backbone.modules():
            adn: Any = getattr(module, "adn", None)
            norm = getattr(adn, "N", None)
            conv = getattr(module, "conv", None)
            if isinstance(norm, nn.BatchNorm2d) and isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
                module.conv = fuse_conv_bn_eval(conv, norm, transpose=isinstance(conv, nn.ConvTranspose2d))
                adn.N = nn.Identity()
