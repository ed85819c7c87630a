"""A slice encoder and what its features become: the part that all networks of slices share, and the linear scores.

Draelos and Carin, AxialNet and HiResCAM, arXiv 2011.08891: a 2D network sees each slice, each cell of a slice has a
linear score for each label, and a volume's logit is the mean over slices.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.modules.efficientnet_lite import BLOCK_CHANNELS, EfficientNetLite0

STRIDE = 16  # of the coarsest tap, in pixels
Taps = tuple[Tensor, ...]
"""Features (d, c, h, w) of the slabs of one volume, the finest tap first; what `label_gradients` takes for images."""


class SlicedNetwork(nn.Module):
    """A frozen backbone that sees slices; `slab` slices are averaged.

    Parameters
    ----------
    taps
        Blocks of the backbone, the finest first; the last has the stride `STRIDE`.
    """

    def __init__(self, taps: tuple[int, ...], slab: int) -> None:
        super().__init__()
        self.widths, self.slab = [BLOCK_CHANNELS[tap] for tap in taps], slab
        self.backbone = EfficientNetLite0(taps)

    def slabs(self, x: Tensor) -> Taps:
        """The taps of some slices (n, 3, rows, columns), n a multiple of `slab`, averaged by slabs."""
        taps = self.backbone(x.contiguous(memory_format=torch.channels_last))
        return tuple(tap.unflatten(0, (-1, self.slab)).mean(1) for tap in taps)


class LinearVolume(SlicedNetwork):
    """logit = bias + sum over zones and channels of weight · (features averaged in the zone - centre).

    With one zone it is the mean over slices of linear scores. Zones cut the crop into equal parts along z, y, x (as
    `torch.nn.AdaptiveAvgPool3d`), so that the head may weigh a feature at the apex otherwise than at the base.

    Attributes
    ----------
    weight
        (L, channels of all taps, *zones).
    centre
        (channels of all taps, *zones): features of the average volume of training, where a map is 0.
    """

    centre: Tensor

    def __init__(self, taps: tuple[int, ...], labels: int, slab: int, zones: tuple[int, int, int]) -> None:
        super().__init__(taps, slab)
        shape = (sum(self.widths), *zones)
        self.zones = zones
        self.weight = nn.Parameter(torch.zeros(labels, *shape))
        self.bias = nn.Parameter(torch.zeros(labels))
        self.register_buffer("centre", torch.zeros(shape))

    def pooled(self, taps: Taps) -> Tensor:
        """Averages within zones (channels of all taps, *zones)."""
        volumes = [tap.transpose(0, 1)[None] for tap in taps]
        return torch.cat([functional.adaptive_avg_pool3d(one, self.zones)[0] for one in volumes])

    def classify(self, taps: Taps) -> Tensor:
        """Logits (1, L) of one volume."""
        away = (self.pooled(taps) - self.centre).flatten()
        return (self.weight.flatten(1) @ away + self.bias)[None]

    def maps(self, taps: Taps) -> Tensor:
        """Class activation maps (L, d, h, w) on the grid of the finest tap: their mean is the logit less the bias."""
        size = (len(taps[0]), *taps[0].shape[-2:])
        weights, centres = torch.split(self.weight, self.widths, 1), torch.split(self.centre, self.widths)
        parts = [_on(self._tap_map(*one), size) for one in zip(taps, weights, centres, strict=True)]
        return torch.stack(parts).sum(0)

    def _tap_map(self, tap: Tensor, weight: Tensor, centre: Tensor) -> Tensor:
        """Each cell of a tap by the weights of its zones, as often as there are cells: (L, d, h, w)."""
        depth, _, rows, columns = tap.shape
        shares = [_shares(count, zones, tap) for count, zones in zip((depth, rows, columns), self.zones, strict=True)]
        field = torch.einsum("lczyx,zi,yj,xk->lcijk", weight, *shares)
        zero = torch.einsum("lczyx,czyx,zi,yj,xk->lijk", weight, centre, *shares)
        return depth * rows * columns * (torch.einsum("lcijk,icjk->lijk", field, tap) - zero)


def _shares(count: int, zones: int, like: Tensor) -> Tensor:
    """(zones, count): the part of each cell in each zone's average."""
    each = torch.eye(count, dtype=like.dtype, device=like.device)[None]
    return functional.adaptive_avg_pool1d(each, zones)[0].T


def _on(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Maps (L, d, h, w) on a finer grid, interpolated linearly; their mean stays."""
    return maps if maps.shape[1:] == size else functional.interpolate(maps[None], size, mode="trilinear")[0]
