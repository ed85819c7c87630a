"""Slices of a crop through the encoder, a batch at a time."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from models.card import Network, VolumeInput
from models.networks.modules.volumes.sliced import STRIDE, SlicedNetwork, Taps
from models.networks.modules.volumes.windows import channels

SHARE = (1, 4, 4)  # voxels that a cell of the maps of the whole volume covers


def cell(how: VolumeInput) -> tuple[int, int, int]:
    """Voxels (z, y, x) of which a crop for the encoder has multiples."""
    return how.slab, STRIDE, STRIDE


def encoded(
    network: SlicedNetwork, hu: NDArray[np.float32], how: VolumeInput, table: Network, device: torch.device
) -> Taps:
    """The taps of all slabs of a crop (z, y, x) in HU, by batches of slices; call it without gradients."""
    batches = []
    for start in range(0, len(hu), how.batch):
        slices = torch.from_numpy(np.ascontiguousarray(hu[start : start + how.batch])).to(device)
        batches.append(network.slabs(channels(slices, how.windows, table.mean, table.std)))
    return tuple(torch.cat(parts) for parts in zip(*batches, strict=True))
