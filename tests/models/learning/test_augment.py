from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.augmentation import GENTLE, STRONG, Augmentation
from models.learning.augment import augmentation, unchanged

SIZE = (96, 80)
STRENGTHS = pytest.mark.parametrize("strength", [GENTLE, STRONG], ids=["gentle", "strong"])


def marked() -> NDArray[np.float32]:
    """A grey frame with the side marker at the top left, a long bright one."""
    image = np.full(SIZE, 0.3, np.float32)
    image[22:34, 16:28] = 1.0
    return image


@STRENGTHS
def test_shape_range_and_type_are_kept(strength: Augmentation) -> None:
    augment = augmentation(strength, SIZE)
    for seed in range(20):
        changed = augment(np.random.default_rng(seed).random(SIZE, np.float32), seed)
        assert type(changed) is torch.Tensor
        assert changed.shape == SIZE
        assert changed.dtype == torch.float32
        assert 0 <= float(changed.min()) < float(changed.max()) <= 1


@STRENGTHS
def test_nothing_is_mirrored_or_turned_over(strength: Augmentation) -> None:
    """The marker stays in the quarter where a radiograph shows the patient's upper right."""
    augment, seen = augmentation(strength, SIZE), 0
    for seed in range(150):
        changed = augment(marked(), seed).numpy()
        bright = np.argwhere(changed > changed.max() - 0.1 * np.ptp(changed))
        if np.ptp(bright, axis=0).max() > 30:  # a hole lies on the marker: what is brightest is noise
            continue
        y, x = bright.mean(0)
        assert y < SIZE[0] / 2, seed
        assert x < SIZE[1] / 2, seed
        seen += 1
    assert seen > 100


def test_the_seed_decides() -> None:
    augment = augmentation(GENTLE, SIZE)
    first, other, again = augment(marked(), 1), augment(marked(), 2), augment(marked(), 1)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_image_that_is_given_stays_as_it_is() -> None:
    image = marked()
    augmentation(STRONG, SIZE)(image, 3)
    np.testing.assert_array_equal(image, marked())
    assert np.array_equal(unchanged(image, 0).numpy(), image)


def test_the_strong_one_changes_more() -> None:
    change = [
        np.mean(
            [
                float((augmentation(one, SIZE)(marked(), seed) - torch.from_numpy(marked())).abs().mean())
                for seed in range(12)
            ]
        )
        for one in (GENTLE, STRONG)
    ]
    assert change[1] > 1.3 * change[0]
