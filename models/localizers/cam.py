"""Class activation maps: exact for global average pooling and a linear head. Zhou et al., CVPR 2016."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from models.networks import CamNetwork


class CamLocalizer:
    """Logits and the maps that they are the mean of, all labels in the one forward pass."""

    def __init__(self, network: CamNetwork, mean: float, std: float) -> None:
        self.network = network.eval()
        self.mean, self.std = mean, std

    def localize(
        self, image: NDArray[np.float32], spacing: tuple[float, ...] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits (L,) and maps (L, h, w) with `maps.mean((1, 2)) + bias == logits`; `spacing` is not needed."""
        device = self.network.head.bias.device
        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(image, np.float32)).to(device)
            logits, maps = self.network(((x - self.mean) / self.std).expand(1, 3, *x.shape))
        return logits[0].float().cpu().numpy(), maps[0].float().cpu().numpy()
