from __future__ import annotations

import torch
from torch import nn

from models.networks.modules.unet import STRIDE, UNet


def network() -> UNet:
    """Random weights and normalizations as after training."""
    torch.manual_seed(0)
    built = UNet()
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.normal_(module.running_mean)
            nn.init.normal_(module.weight)
    return built.eval()


def test_one_mask_of_the_inputs_size() -> None:
    with torch.inference_mode():
        assert network()(torch.rand(2, 1, 4 * STRIDE, 3 * STRIDE)).shape == (2, 1, 4 * STRIDE, 3 * STRIDE)
    assert sum(one.numel() for one in UNet().parameters()) < 2_000_000


def test_folded_it_is_the_same_without_normalizations() -> None:
    built, x = network(), torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        before = built(x)
        built.fold()
        after = built(x)
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in built.modules())


def test_the_logit_is_the_largest_of_the_mask() -> None:
    built = network()
    with torch.inference_mode():
        features = built.features(torch.rand(2, 1, 32, 32))
        torch.testing.assert_close(built.classify(features)[:, 0], features[0].flatten(1).amax(1))
