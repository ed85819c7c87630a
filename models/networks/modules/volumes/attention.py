"""Multiple-instance learning on a volume: gated attention weighs its slabs or its cells. Ilse et al., ICML 2018.

The bag is a volume. Its instances are slabs (slices averaged in pairs or so), or the cells of all slabs.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.networks.modules.attention.gated_attention import GatedHead
from models.networks.modules.volumes.sliced import SlicedNetwork, Taps


class AttentiveVolume(SlicedNetwork):
    """logit = bias + sum over instances of attention x (weight · (instance - centre)).

    Parameters
    ----------
    bag
        "cells" on the grid of the finest tap, or "slices": whole slabs.
    """

    centre: Tensor

    def __init__(self, taps: tuple[int, ...], labels: int, slab: int, bag: str) -> None:
        super().__init__(taps, slab)
        self.bag = bag
        self.pool = GatedHead(sum(self.widths), labels)
        self.register_buffer("centre", torch.zeros(sum(self.widths)))

    def instances(self, taps: Taps) -> Tensor:
        """(instances, channels of all taps), less `centre`."""
        if self.bag == "slices":
            return torch.cat([tap.mean((2, 3)) for tap in taps], 1) - self.centre
        return on_finest(taps).permute(0, 2, 3, 1).flatten(0, 2) - self.centre

    def classify(self, taps: Taps) -> Tensor:
        """Logits (1, L) of one volume."""
        logits: Tensor = self.pool(self.instances(taps)[None])
        return logits

    def maps(self, taps: Taps) -> Tensor:
        """Attention times score (L, d, h, w): the sum over cells is the logit without its bias."""
        depth, (rows, columns) = len(taps[0]), taps[0].shape[-2:]
        if self.bag == "cells":
            evidence: Tensor = self.pool.evidence(self.instances(taps)[None])[0]
            return evidence.view(-1, depth, rows, columns)
        attention = self.pool.attend(self.instances(taps)[None])[0].T
        cells = on_finest(taps) - self.centre[:, None, None]
        scores = torch.einsum("lc,dchw->ldhw", self.pool.head.weight, cells)
        return attention[:, :, None, None] * scores / (rows * columns)


def on_finest(taps: Taps) -> Tensor:
    """All taps side by side on the grid of the first (d, channels of all taps, h, w), the coarse ones interpolated."""
    size = taps[0].shape[-2:]
    fine = [tap if tap.shape[-2:] == size else functional.interpolate(tap, size, mode="bilinear") for tap in taps]
    return torch.cat(fine, 1)
