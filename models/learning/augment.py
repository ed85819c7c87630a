"""Changes that a radiograph may undergo and stay one: MONAI's transforms in measure, and never a mirror.

A mirrored chest has its heart on the right (dextrocardia) and its side marker reversed: nothing here flips, and turns
are small.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Strength:
    """How far an image (intensity 0..1) is changed; each amount is drawn evenly between its two signs.

    Attributes
    ----------
    degrees
        Of rotation.
    scale, shift
        Parts of the size.
    contrast
        Part by which deviations from the mean grow or shrink.
    gamma
        The exponent is drawn between 1 / gamma and gamma.
    noise
        Largest standard deviation of Gaussian noise.
    cutout, holes
        Side of each hole that is filled with the mean, as a part of the size, and how many.
    """

    degrees: float
    scale: float
    shift: float
    contrast: float
    gamma: float
    noise: float
    cutout: float
    holes: int


# With labels: what made the label must stay to be seen.
GENTLE = Strength(degrees=7, scale=0.1, shift=0.05, contrast=0.2, gamma=1.25, noise=0.02, cutout=0.08, holes=2)
# For SimCLR, whose two views shall share the patient alone; smaller than for photographs, without mirror and colour.
STRONG = Strength(degrees=12, scale=0.25, shift=0.12, contrast=0.4, gamma=1.6, noise=0.05, cutout=0.15, holes=4)

Augment = Callable[[NDArray[np.float32], int], Tensor]
"""An image (rows, columns) and a seed make an image of the same shape and range."""


def augmentation(strength: Strength, size: tuple[int, int]) -> Augment:
    """The changes of this strength to images of this size; the same seed changes the same image alike."""
    from monai import transforms  # noqa: PLC0415 (seconds to import)

    angle, shift = math.radians(strength.degrees), [strength.shift * length for length in size]
    hole = [max(1, round(strength.cutout * length)) for length in size]
    changes = transforms.Compose(
        [
            transforms.RandAffine(
                prob=1, rotate_range=[angle], translate_range=shift, scale_range=[strength.scale] * 2,
                padding_mode="zeros", spatial_size=size, cache_grid=True,
            ),
            transforms.RandScaleIntensityFixedMean(prob=0.8, factors=strength.contrast),
            transforms.RandAdjustContrast(prob=0.5, gamma=(1 / strength.gamma, strength.gamma)),
            transforms.RandGaussianNoise(prob=0.5, std=strength.noise),
        ]
    )  # fmt: skip
    holes = transforms.RandCoarseDropout(holes=1, max_holes=strength.holes, spatial_size=hole, fill_value=0, prob=0.5)

    def augment(image: NDArray[np.float32], seed: int) -> Tensor:
        changes.set_random_state(seed)
        holes.set_random_state(seed)
        changed = torch.as_tensor(changes(torch.from_numpy(image)[None])).as_subclass(Tensor).clamp(0, 1)
        mean = changed.mean()
        return (torch.as_tensor(holes(changed - mean)).as_subclass(Tensor) + mean).clamp(0, 1)[0].float()

    return augment


def unchanged(image: NDArray[np.float32], seed: int) -> Tensor:
    """The image itself."""
    return torch.from_numpy(image)
