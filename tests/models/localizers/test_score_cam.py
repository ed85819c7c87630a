"""Score-CAM: weights by hand, the peak on a lesion, and the same map whether inputs are batched or not."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from models.localizers import score_cam
from models.localizers.score_cam import ScoreCamLocalizer
from tests.models.localizers.networks import Curved, cam_network


class BrightAndDark(nn.Module):
    """Two channels, the image and its negative; the first label is raised by light, the second by darkness."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(1))

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        return (torch.cat([x[:, :1], 1 - x[:, :1]], 1),)

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        return 8 * features[0].mean((2, 3))


class Alone(BrightAndDark):
    """The same, one input at a time."""

    one_by_one: Literal[True] = True

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        assert len(x) == 1
        return super().features(x)


def lesion() -> np.ndarray:
    image = np.full((12, 10), 0.25, np.float32)
    image[3:5, 6:8] = 0.75
    return image


def test_weights_are_the_softmax_of_logits_under_each_mask() -> None:
    image = lesion()
    light = (image - 0.25) / 0.5
    found = ScoreCamLocalizer(BrightAndDark(), 0.0, 1.0, 1).localize(image, None)
    for label, shown in enumerate((lambda seen: seen, lambda seen: 1 - seen)):
        scores = np.array([8 * shown(image * mask).mean() for mask in (light, 1 - light)])
        first, second = np.exp(scores) / np.exp(scores).sum()
        wanted = np.maximum(first * image + second * (1 - image), 0)
        np.testing.assert_allclose(found.saliency[label], wanted, rtol=1e-5)
        np.testing.assert_allclose(found.logits[label], 8 * shown(image).mean(), rtol=1e-5)


class Raised(BrightAndDark):
    """A label that what is brighter than a half alone raises, steeply."""

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        return 400 * (features[0][:, :1] - 0.5).relu().mean((2, 3))


def test_the_peak_lies_on_the_lesion() -> None:
    found = ScoreCamLocalizer(Raised(), 0.0, 1.0, 1).localize(lesion(), None)
    row, column = np.unravel_index(found.saliency[0].argmax(), found.saliency[0].shape)
    assert row in (3, 4)
    assert column in (6, 7)
    assert found.saliency[0, 0, 0] < 0.6 * found.saliency[0].max()


def test_batches_change_nothing() -> None:
    together = ScoreCamLocalizer(BrightAndDark(), 0.5, 0.25, 1).localize(lesion(), None)
    alone = ScoreCamLocalizer(Alone(), 0.5, 0.25, 1).localize(lesion(), None)
    np.testing.assert_allclose(together.saliency, alone.saliency, rtol=1e-5)
    torch.manual_seed(0)
    network, image = Curved().eval(), np.random.default_rng(0).random((48, 32)).astype(np.float32)
    whole = ScoreCamLocalizer(network, 0.5, 0.25).localize(image, None)
    assert whole.saliency.shape == (5, 12, 8)
    before, score_cam.BATCH = score_cam.BATCH, 3
    try:
        np.testing.assert_allclose(
            ScoreCamLocalizer(network, 0.5, 0.25).localize(image, None).saliency, whole.saliency, atol=1e-5
        )
    finally:
        score_cam.BATCH = before


def test_a_border_that_the_network_leaves_out_stays_zero() -> None:
    image = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    found = ScoreCamLocalizer(cam_network((1,)), 0.5, 0.25).localize(image, None)
    assert found.saliency.shape[1:] == (16, 16)
    assert found.saliency[:, 1:-1, 1:-1].any()
    assert not found.saliency[:, [0, -1]].any()
    assert not found.saliency[:, :, [0, -1]].any()
