"""A network of the thorax: frozen blocks of EfficientNet-Lite0 averaged within zones of the crop, and a linear head.

Crops are aligned to the lungs, so that a zone holds the same part of the chest in each image; the head may weigh a
feature at the apex otherwise than at the base. Class activation maps stay exact.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.anatomy.residual import CELLS
from models.networks.modules.efficientnet_lite import BLOCK_CHANNELS, EfficientNetLite0

ZONES = 6  # a side of the square


class ThoraxNetwork(nn.Module):
    """logit = bias + sum over zones and channels of weight · (features averaged in the zone - centre).

    Attributes
    ----------
    weight
        (L, channels of all taps, ZONES, ZONES).
    centre
        (channels of all taps, ZONES, ZONES): features of the average crop of training, where a map is 0.
    normal
        (2, CELLS, CELLS), see `models.anatomy.residual.normal_chest`.
    """

    centre: Tensor
    normal: Tensor

    def __init__(self, taps: tuple[int, ...], labels: int) -> None:
        super().__init__()
        self.widths = [BLOCK_CHANNELS[tap] for tap in taps]
        self.backbone = EfficientNetLite0(taps)
        shape = (sum(self.widths), ZONES, ZONES)
        self.weight = nn.Parameter(torch.zeros(labels, *shape))
        self.bias = nn.Parameter(torch.zeros(labels))
        self.register_buffer("centre", torch.zeros(shape))
        self.register_buffer("normal", torch.ones(2, CELLS, CELLS))

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Each tap (N, c, h, w) of the input (N, 3, rows, columns)."""
        taps: tuple[Tensor, ...] = self.backbone(x)
        return taps

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        """Logits (N, L)."""
        away = (pooled(features) - self.centre).flatten(1)
        return self.bias + away @ self.weight.flatten(1).T

    def maps(self, features: tuple[Tensor, ...]) -> Tensor:
        """Each cell's part of the logits (N, L, h, w) on the finest tap's grid: its mean is the logit less the bias."""
        size = features[0].shape[-2:]
        weights, centres = torch.split(self.weight, self.widths, 1), torch.split(self.centre, self.widths)
        parts = [_weighed(*one, size) for one in zip(features, weights, centres, strict=True)]
        return ZONES**2 * torch.stack(parts).sum(0)


def _weighed(tap: Tensor, weight: Tensor, centre: Tensor, size: torch.Size) -> Tensor:
    """A tap (N, c, h, w) less the centre (c, ZONES, ZONES) by the weight (L, c, ZONES, ZONES): (N, L, *size)."""
    count, width, rows, columns = tap.shape
    zones = tap.reshape(count, width, ZONES, rows // ZONES, ZONES, columns // ZONES)
    cells = torch.einsum("ncyixj,lcyx->nlyixj", zones - centre[:, :, None, :, None], weight)
    return functional.interpolate(cells.reshape(count, len(weight), rows, columns), size, mode="nearest-exact")


def pooled(features: tuple[Tensor, ...]) -> Tensor:
    """Averages within the zones (N, channels of all taps, ZONES, ZONES); each tap's sides are multiples of `ZONES`."""
    return torch.cat([functional.adaptive_avg_pool2d(tap, ZONES) for tap in features], 1)
