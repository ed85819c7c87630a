"""A crop as the one input of the 3D CNN."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.card import Network, VolumeInput
from models.networks.modules.volumes.cnn3d import CELL
from models.networks.modules.volumes.windows import channels

CELLS = (CELL, CELL, CELL)
SHARE = (1, 1, 1)  # voxels that a cell of the maps of the whole volume covers


def stacked(hu: NDArray[np.float32], how: VolumeInput, table: Network) -> Tensor:
    """(1, channels, z, y, x) of a crop (z, y, x) in HU."""
    return channels(torch.from_numpy(hu), how.windows, table.mean, table.std).transpose(0, 1)[None].contiguous()
