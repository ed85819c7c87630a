"""Occlusion: the map falls where the network looks, and each place is hidden."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from models.localizers.occlusion import STEPS, OcclusionLocalizer, hidden


class Corner(nn.Module):
    """Its one logit is the mean intensity of the upper left quarter."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(1))

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        return (x,)

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        rows, columns = (length // 2 for length in features[0].shape[-2:])
        return features[0][:, :1, :rows, :columns].mean((2, 3))


def test_the_map_is_high_where_the_network_looks_and_zero_elsewhere() -> None:
    image = np.zeros((64, 48), np.float32)
    image[:32, :24] = 1.0
    found = OcclusionLocalizer(Corner(), 0.0, 1.0).localize(image, None)
    np.testing.assert_allclose(found.logits, [1.0])
    assert found.saliency.shape == (1, 16, 16)
    assert (found.saliency[0, :7, :7] > 0.01).all()
    np.testing.assert_allclose(found.saliency[0, 9:], 0.0, atol=1e-6)
    np.testing.assert_allclose(found.saliency[0, :, 9:], 0.0, atol=1e-6)


def test_every_pixel_is_hidden_at_some_place_and_never_the_whole() -> None:
    x = torch.rand(1, 1, 37, 50)
    changed = torch.stack([hidden(x, row, column) != x for row in range(STEPS) for column in range(STEPS)])
    assert bool(changed.any(0).all())
    assert float(changed.float().mean((1, 2, 3, 4)).max()) < 0.03
