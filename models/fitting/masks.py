"""A U-Net of a user's own masks, one for each label: cross-entropy and soft Dice under gentle changes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from models.data.images import read_image
from models.data.label_masks import LabelMasks
from models.fitting.distortion import reframed
from models.fitting.draws import Draws
from models.fitting.lungs import BATCH, RATE, optimize, shuffled
from models.fitting.task import Advance
from models.networks.modules.storage import halved
from models.networks.modules.unet import STRIDE, UNet

STEPS = (300, 200)  # on small images, then at the input's size


def fit(data: LabelMasks, side: int, channels: int, seed: int, advance: Advance) -> UNet:
    """Train on one thread: the same seed gives the same weights, however many cores there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        torch.manual_seed(seed)
        module: UNet = UNet(channels, len(data.masks[0])).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        small = max(3 * side // 4 // STRIDE * STRIDE, STRIDE)
        batches = _batches(data, side, channels, torch.Generator().manual_seed(seed))
        optimize(module, batches, STEPS, RATE, (small, side), seed, lambda *at: advance("masks", *at), gently)
    finally:
        torch.set_num_threads(threads)
    halved(module)
    return module.eval()


def gently(images: Tensor, masks: Tensor, side: int, draws: Draws) -> tuple[Tensor, Tensor]:
    """Moved, turned, scaled and bent, never mirrored; with another contrast and brightness, and some noise."""
    images, masks = reframed(images, masks, side, draws, mirrored=0.0)
    images = images.clamp(min=0.0) ** draws.factor(1.4) * draws.between(0.8, 1.2) + draws.between(-0.1, 0.1)
    return images + torch.randn(images.shape, generator=draws.generator) * draws.between(0.0, 0.04), masks


def _batches(data: LabelMasks, side: int, channels: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Images (n, channels, side, side) and masks (n, L, side, side) of 0..1, letterboxed."""
    images = torch.from_numpy(np.stack([_byte(one, side) for one in data.images]))
    masks = torch.from_numpy(np.stack([[_byte(one, side) for one in each] for each in data.masks]))
    for rows in shuffled(len(images), BATCH, generator):
        x = images[rows][:, None].float() / 255
        yield x.expand(-1, channels, -1, -1), masks[rows].float() / 255


def _byte(path: object, side: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.round(255 * read_image(path, (side, side))).astype(np.uint8)  # type: ignore[arg-type]
