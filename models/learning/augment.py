"""Changes that an image may undergo and keep its label: MONAI's transforms by the table [augmentation] of a card.

A mirrored chest has its heart on the right (dextrocardia) and its side marker reversed: nothing is mirrored where the
card does not allow it, and turns are small.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.augmentation import Augmentation

Augment = Callable[[NDArray[np.float32], int], Tensor]
"""An image (rows, columns) and a seed make an image of the same shape and range."""


def augmentation(strength: Augmentation, size: tuple[int, int]) -> Augment:
    """The changes of this strength to images of this size; the same seed changes the same image alike."""
    from monai import transforms  # noqa: PLC0415 (seconds to import)

    angle, shift = math.radians(strength.rotate), [strength.shift * length for length in size]
    hole = [max(1, round(strength.cutout * length)) for length in size]
    changes = transforms.Compose(
        [
            transforms.RandAffine(
                prob=1, rotate_range=[angle], translate_range=shift, scale_range=[strength.scale] * 2,
                shear_range=[strength.shear] * 2 if strength.shear else None,
                padding_mode="zeros", spatial_size=size, cache_grid=True,
            ),
            transforms.RandScaleIntensityFixedMean(prob=0.8, factors=strength.contrast),
            transforms.RandAdjustContrast(prob=0.5, gamma=(1 / strength.gamma, strength.gamma)),
            transforms.RandGaussianNoise(prob=0.5, std=strength.noise),
            *([transforms.RandFlip(prob=0.5, spatial_axis=1)] if strength.flip else []),
        ]
    )  # fmt: skip
    holes = transforms.RandCoarseDropout(holes=1, max_holes=strength.holes, spatial_size=hole, fill_value=0, prob=0.5)

    def augment(image: NDArray[np.float32], seed: int) -> Tensor:
        changes.set_random_state(seed)
        holes.set_random_state(seed)
        changed = torch.as_tensor(changes(torch.from_numpy(image)[None])).as_subclass(Tensor).clamp(0, 1)
        mean = changed.mean()
        if not strength.cutout:
            return changed[0].float()
        return (torch.as_tensor(holes(changed - mean)).as_subclass(Tensor) + mean).clamp(0, 1)[0].float()

    return augment


def unchanged(image: NDArray[np.float32], seed: int) -> Tensor:
    """The image itself."""
    return torch.from_numpy(image)
