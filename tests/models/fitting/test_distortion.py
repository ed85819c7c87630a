from __future__ import annotations

import numpy as np
import pytest
import torch

from models.fitting.distortion import blurred, exposed, reframed
from models.fitting.draws import Draws
from tests.models.mask_phantoms import radiograph


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    pairs = [radiograph(rng) for _ in range(6)]
    images = torch.from_numpy(np.stack([image for image, _ in pairs]))[:, None].float() / 255
    return images, torch.from_numpy(np.stack([mask for _, mask in pairs]))[:, None].float()


def draws(seed: int = 0) -> Draws:
    return Draws(torch.Generator().manual_seed(seed), 6)


def test_images_and_masks_are_reframed_alike(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    masks = batch[1]
    first, second = reframed(masks, masks, 64, draws())
    assert first.shape == (6, 1, 64, 64)
    torch.testing.assert_close(first, second)
    assert 0.02 < float(first.mean()) < 0.6  # the lungs are still there
    assert not torch.equal(first, reframed(masks, masks, 64, draws(1))[0])


def test_lungs_stay_darker_than_the_body_in_most_images(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, masks = batch
    darker = []
    for seed in range(20):
        x = exposed(images, masks, draws(seed))
        assert torch.isfinite(x).all()
        inside = (x * masks).sum((1, 2, 3)) / masks.sum((1, 2, 3))
        near = blurred(masks, 4.0) * (1 - masks)  # what collimation does not always cover
        darker += (inside < (x * near).sum((1, 2, 3)) / near.sum((1, 2, 3))).tolist()
    assert 0.75 < np.mean(darker) < 1.0  # some are inverted


def test_images_are_drawn_apart_and_repeat_with_their_seed(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    images = batch[0][:1].expand(6, -1, -1, -1)
    masks = batch[1][:1].expand(6, -1, -1, -1)
    x = exposed(images, masks, draws())
    assert all(not torch.equal(x[0], other) for other in x[1:])
    torch.testing.assert_close(x, exposed(images, masks, draws()))


def test_a_blurred_flat_image_stays_as_it_is() -> None:
    flat = torch.full((1, 1, 20, 20), 0.25)
    torch.testing.assert_close(blurred(flat, 2.0), flat)
