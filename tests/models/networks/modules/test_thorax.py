from __future__ import annotations

import numpy as np
import pytest
import torch

from models.networks.modules.thorax import ZONES, ThoraxNetwork, pooled


@pytest.fixture(scope="module")
def network() -> ThoraxNetwork:
    torch.manual_seed(0)
    network = ThoraxNetwork((6, 10), 3).eval()
    with torch.no_grad():
        for one in (network.weight, network.bias, network.centre):
            one.normal_()
    return network


@pytest.mark.parametrize("taps", [(6, 10), (4, 10)], ids=["one stride", "two strides"])
def test_the_mean_of_a_map_is_its_part_of_the_logit(taps: tuple[int, int]) -> None:
    torch.manual_seed(1)
    network = ThoraxNetwork(taps, 3).eval()
    with torch.no_grad():
        network.weight.normal_()
        network.centre.normal_()
        features = network.features(torch.rand(2, 3, 192, 192))
        logits, maps = network.classify(features) - network.bias, network.maps(features)
    np.testing.assert_allclose(maps.mean((2, 3)), logits, rtol=1e-3, atol=1e-2)


def test_a_feature_counts_in_its_zone(network: ThoraxNetwork) -> None:
    features = [torch.zeros(1, width, 24, 24) for width in network.widths]
    zero = network.classify(tuple(features))
    features[1][0, 7, 21, 2] = 16.0  # zone (5, 0), of 4 x 4 cells
    changed = network.classify(tuple(features)) - zero
    expected = network.weight[:, network.widths[0] + 7, 5, 0]
    np.testing.assert_allclose(changed[0].detach(), expected.detach(), rtol=1e-4, atol=1e-4)


def test_the_average_chest_has_no_map(network: ThoraxNetwork) -> None:
    cells = network.centre.repeat_interleave(4, 1).repeat_interleave(4, 2)[None]
    features = tuple(torch.split(cells, network.widths, 1))
    assert network.maps(features).abs().max() < 1e-3
    assert pooled(features).shape == (1, sum(network.widths), ZONES, ZONES)
