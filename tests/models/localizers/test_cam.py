from __future__ import annotations

import numpy as np
import torch

from models import packages
from models.localizers.cam import CamLocalizer
from models.networks import CamNetwork


def network() -> CamNetwork:
    torch.manual_seed(0)
    built = CamNetwork((10, 14), 3).eval()
    torch.nn.init.normal_(built.head.weight)
    built.centre.normal_()
    return built


def test_the_maps_are_the_logits_taken_apart() -> None:
    built = network()
    image = np.random.default_rng(0).random((96, 128), np.float32)
    logits, maps = CamLocalizer(built, 0.5, 0.5).localize(image, None)
    assert maps.shape == (3, 6, 8)
    bias = built.head.bias.detach().numpy()
    np.testing.assert_allclose(maps.mean((1, 2)) + bias, logits, atol=1e-4)
    assert maps.std() > 1e-3


def test_the_shipped_maps_are_the_shipped_logits_taken_apart() -> None:
    model = packages.load(packages.find("chest-xray"), "cpu")
    image = np.random.default_rng(0).random((512, 512), np.float32)
    found = model.predict(image)
    assert found.labels[0] == "Atelectasis"
    assert found.saliency.shape == (14, 32, 32)
    bias = model.localizer.network.head.bias.numpy(force=True)  # type: ignore[attr-defined]
    np.testing.assert_allclose(found.saliency.mean((1, 2)) + bias, found.logits, atol=1e-4)
    assert ((found.probabilities > 0) & (found.probabilities < 1)).all()


def test_maps_are_raw() -> None:
    """An image that raises a label less gets a lower map: nothing is stretched per image."""
    model = packages.load(packages.find("chest-xray"), "cpu")
    rng = np.random.default_rng(0)
    found = [model.predict(rng.random((512, 512), np.float32) * scale) for scale in (1.0, 0.2)]
    peaks = np.stack([one.saliency.max((1, 2)) for one in found])
    assert (peaks[0] != peaks[1]).all()
    assert not np.isclose(peaks, 1).any()


def test_centre_makes_the_average_image_zero() -> None:
    built = network()
    features = tuple(torch.ones(1, width, 4, 4) for width in built.widths)
    with torch.no_grad():
        built.centre.fill_(1.0)
        assert torch.allclose(built.maps(features), torch.zeros(1, 3, 4, 4), atol=1e-4)
