"""A U-Net of lungs from few masks: trained on them, then on its own confident masks of images without any, too.

The second round is a noisy student: Xie et al., Self-training with Noisy Student improves ImageNet classification,
CVPR 2020. A mask of the network's own counts where the lungs are plausible, alike in size, without notches and without
other parts beside them, and the network finds the same ones in the mirrored, the brighter and the darker image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.anatomy.lungs import Lungs, lungs_of
from models.anatomy.parts import LUNG
from models.anatomy.plausibility import doubtful
from models.data.pairs import Pairs, read_squares
from models.fitting.distortion import exposed, reframed
from models.fitting.draws import Draws
from models.fitting.task import Advance
from models.networks.modules.storage import halved
from models.networks.modules.unet import STRIDE, UNet

BATCH, OF_PAIRS = 8, 3  # images of a step; in the second round so many of them have masks of people
FIRST, SECOND = (500, 100), (250, 300)  # steps of the two rounds on small images, then at the input's size
RATE = 3e-3
SECOND_RATE = 1.5e-3
AGREEMENT = 0.95  # Dice of each changed image's lungs with those of the image itself
ALIKE = 0.5  # area of the smaller lung by the larger one's
FULL = 0.85  # part of each lung's convex hull that is lung
OTHERS = 0.03  # of the lungs' area: other parts that look like lung
DOUBTFUL = 0.5  # see `models.anatomy.plausibility.doubtful`
GAMMAS = (0.7, 1.4)
AT_ONCE = 16  # images of a forward pass


@dataclass(frozen=True, slots=True, eq=False)
class MaskTask:
    """A network of masks to be fitted.

    Attributes
    ----------
    pairs
        Images with masks, of the training split.
    unmarked
        Images without masks.
    side
        Rows and columns of the network's input.
    """

    pairs: Pairs
    unmarked: tuple[Path, ...]
    side: int
    seed: int
    advance: Advance

    @property
    def source(self) -> int:
        """Pixels of the images that are resampled: a magnified one is sharp still."""
        return 5 * self.side // 4

    @property
    def small(self) -> int:
        """Pixels while the network learns what a lung is: half the time of a step."""
        return 3 * self.side // 4 // STRIDE * STRIDE


@dataclass(frozen=True, slots=True, eq=False)
class MaskFit:
    """A fitted network, and how many images the second round took its own masks of."""

    module: UNet
    confident: int
    unmarked: int


@dataclass(frozen=True, slots=True, eq=False)
class _Marked:
    """Images and masks, (N, source, source) uint8 each."""

    images: Tensor
    masks: Tensor

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 1, source, source) of 0..1."""
        return self.images[rows][:, None].float() / 255, self.masks[rows][:, None].float() / 255


def fit(task: MaskTask) -> MaskFit:
    """Train on one thread: the same seed gives the same weights, however many cores there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _fit(task)
    finally:
        torch.set_num_threads(threads)


def _fit(task: MaskTask) -> MaskFit:
    torch.manual_seed(task.seed)
    generator = torch.Generator().manual_seed(task.seed)
    module: UNet = UNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pairs = _Marked(
        *(torch.from_numpy(read_squares(files, task.source)) for files in (task.pairs.images, task.pairs.masks))
    )
    _train(module, _batches(pairs, None, generator), FIRST, RATE, "first round", task)
    own = _own_masks(module, task)
    if len(own.images):
        _train(module, _batches(pairs, own, generator), SECOND, SECOND_RATE, "second round", task)
    halved(module)
    return MaskFit(module.eval(), len(own.images), len(task.unmarked))


def _batches(pairs: _Marked, own: _Marked | None, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    count = OF_PAIRS if own else BATCH
    rows = shuffled(len(pairs.images), count, generator)
    others = shuffled(len(own.images), BATCH - count, generator) if own else None
    for chosen in rows:
        images, masks = pairs.batch(chosen)
        if own and others:
            more = own.batch(next(others))
            images, masks = torch.cat([images, more[0]]), torch.cat([masks, more[1]])
        yield images, masks


def shuffled(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Row numbers, `size` at a time, for ever: each row once before any is repeated."""
    left = torch.empty(0, dtype=torch.int64)
    while True:
        while len(left) < size:
            left = torch.cat([left, torch.randperm(count, generator=generator)])
        yield left[:size]
        left = left[size:]


def _train(
    module: UNet,
    batches: Iterator[tuple[Tensor, Tensor]],
    steps: tuple[int, int],
    rate: float,
    stage: str,
    task: MaskTask,
) -> None:
    sides = (task.small, task.side)
    optimize(module, batches, steps, rate, sides, task.seed, lambda *at: task.advance(stage, *at), _changed)


def _changed(images: Tensor, masks: Tensor, side: int, draws: Draws) -> tuple[Tensor, Tensor]:
    images, masks = reframed(images, masks, side, draws)
    return exposed(images, masks, draws), masks


def optimize(
    module: UNet,
    batches: Iterator[tuple[Tensor, Tensor]],
    steps: tuple[int, int],
    rate: float,
    sides: tuple[int, int],
    seed: int,
    advance: Callable[[int, int], None],
    changed: Callable[[Tensor, Tensor, int, Draws], tuple[Tensor, Tensor]],
) -> None:
    """Train on batches of images and masks, (n, channels, …) and (n, L, …), with so many steps at each of two sides."""
    small, all_steps = steps[0], sum(steps)
    generator = torch.Generator().manual_seed(seed + all_steps)
    optimizer = torch.optim.AdamW(module.parameters(), rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, all_steps, pct_start=0.15)
    module.train()
    for step, whole in zip(range(all_steps), batches, strict=False):
        draws = Draws(generator, len(whole[0]))
        images, masks = changed(*whole, sides[0] if step < small else sides[1], draws)
        optimizer.zero_grad()
        torch.autograd.backward(_loss(module(standardized(images)), masks))
        optimizer.step()
        schedule.step()
        advance(step + 1, all_steps)


def standardized(images: Tensor) -> Tensor:
    """Mean 0 and deviation 1 of each image, as `models.loaded.scaled` makes them."""
    mean, deviation = images.mean((1, 2, 3), keepdim=True), images.std((1, 2, 3), keepdim=True, correction=0)
    return ((images - mean) / deviation.clamp(min=1e-6)).contiguous(memory_format=torch.channels_last)


def _loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy and soft Dice of each mask, both alike."""
    entropy = functional.binary_cross_entropy_with_logits(logits, masks)
    found = logits.sigmoid()
    common, whole = (found * masks).sum((2, 3)), found.sum((2, 3)) + masks.sum((2, 3))
    return entropy + (1.0 - (2.0 * common + 1.0) / (whole + 1.0)).mean()


def _own_masks(module: UNet, task: MaskTask) -> _Marked:
    """Images without masks of people, with the network's own where it is confident."""
    module.eval()
    images, masks = list[NDArray[np.uint8]](), list[NDArray[np.uint8]]()
    for start in range(0, len(task.unmarked), AT_ONCE):
        files = task.unmarked[start : start + AT_ONCE]
        sharp = read_squares(files, task.source)
        for image, variants in zip(sharp, _variants(module, sharp, task.side), strict=True):
            if (mask := confident_mask(variants, task.source)) is not None:
                images.append(image)
                masks.append(mask)
        task.advance("images without masks", start + len(files), len(task.unmarked))
    none = np.zeros((0, task.source, task.source), np.uint8)
    return _Marked(*(torch.from_numpy(np.stack(one) if one else none) for one in (images, masks)))


@torch.inference_mode()
def _variants(module: UNet, images: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """(N, V, side, side): probabilities of each image as it is, mirrored, and at other gammas."""
    whole = torch.from_numpy(images)[:, None].float() / 255
    x = functional.interpolate(whole, (side, side), mode="bilinear", antialias=True)
    found = [
        _probability(module, x),
        _probability(module, x.flip(3)).flip(3),
        *(_probability(module, x**gamma) for gamma in GAMMAS),
    ]
    return torch.cat(found, 1).numpy()


def _probability(module: UNet, x: Tensor) -> Tensor:
    found: Tensor = module(standardized(x)).sigmoid()
    return found


def confident_mask(variants: NDArray[np.float32], source: int) -> NDArray[np.uint8] | None:
    """A mask of the network's own, (source, source) of 0..255: the mean probability within the lungs.

    None where it is not to be believed. `variants` (V, rows, columns) are of the image, then of changed ones.
    """
    lungs = lungs_of(variants.mean(axis=0))
    found = [one >= LUNG for one in variants]
    if not lungs.plausible or not _shapely(lungs) or min(_dice(one, found[0]) for one in found[1:]) < AGREEMENT:
        return None
    inside, outside = np.maximum(lungs.probability, LUNG), np.minimum(lungs.probability, LUNG)
    mask = torch.from_numpy(np.where(lungs.both, inside, outside))[None, None]
    whole = functional.interpolate(mask, (source, source), mode="bilinear")
    return torch.round(255 * whole[0, 0]).to(torch.uint8).numpy()


def _shapely(lungs: Lungs) -> bool:
    """Two lungs alike in size, without notches, and nothing else that looks like lung."""
    from skimage.morphology import convex_hull_image  # noqa: PLC0415 (only training needs it)

    small, large = sorted((int(lungs.right.sum()), int(lungs.left.sum())))
    others = int(((lungs.probability >= LUNG) & ~lungs.both).sum())
    full = (one.sum() >= FULL * convex_hull_image(one).sum() for one in (lungs.right, lungs.left))
    clear = doubtful(lungs.probability, lungs.both) <= DOUBTFUL
    return clear and small >= ALIKE * large and others <= OTHERS * (small + large) and all(full)


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return 2.0 * float((one & other).sum()) / max(float(one.sum() + other.sum()), 1.0)
