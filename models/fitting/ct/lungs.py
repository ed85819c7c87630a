"""A U-Net of the right and the left lung of chest CT volumes: few anatomies, strongly changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor
from torch.nn import functional

from models.anatomy.ct.grid import resampled
from models.anatomy.ct.lungs import NETWORK_MM
from models.fitting.ct.changes import diseased, reframed, scanned
from models.fitting.ct.examples import LungExample
from models.fitting.draws import Draws
from models.fitting.task import Advance
from models.networks.modules.hounsfield import as_input
from models.networks.modules.storage import halved
from models.networks.modules.unet import UNet

SHAPE = (80, 64, 80)  # voxels of a changed volume: 320 x 256 x 320 mm
BATCH = 1
STEPS = 350
RATE = 4e-3
LUNG_HU = 1000.0  # masks are resampled as volumes of this value


@dataclass(frozen=True, slots=True, eq=False)
class WorkingLungs:
    """One volume on the network's grid, (1, 1, d, h, w) HU, and the part of each voxel that is right or left lung."""

    patient: str
    hu: Tensor
    masks: Tensor


def working(example: LungExample) -> WorkingLungs:
    """A volume with its masks on the grid of the network."""
    volume = example.volume
    grids = [resampled(volume.array, volume.spacing, NETWORK_MM)]
    for mask in (example.right, example.left):
        grids.append(resampled(mask.astype(np.float32) * LUNG_HU, volume.spacing, NETWORK_MM))
    hu, right, left = (torch.from_numpy(sitk.GetArrayFromImage(one)) for one in grids)
    masks = (torch.stack([right, left]) / LUNG_HU).clamp(0.0, 1.0)
    return WorkingLungs(example.patient, hu[None, None], masks[None])


def fit(examples: Sequence[WorkingLungs], seed: int, advance: Advance, steps: int | None = None) -> UNet:
    """Train on one thread: the same seed gives the same weights, however many cores there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _fit(examples, seed, advance, steps or STEPS)
    finally:
        torch.set_num_threads(threads)


def _fit(examples: Sequence[WorkingLungs], seed: int, advance: Advance, steps: int) -> UNet:
    torch.manual_seed(seed)
    draws = Draws(torch.Generator().manual_seed(seed), 1)
    module: UNet = UNet(1, 2, volumes=True).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(module.parameters(), RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.15)
    patients = _patients(examples)
    module.train()
    for step in range(steps):
        x, masks = _batch(patients, draws)
        optimizer.zero_grad()
        torch.autograd.backward(_loss(module(x), masks))
        optimizer.step()
        schedule.step()
        advance("lungs", step + 1, steps)
    halved(module)
    return module.eval()


def _patients(examples: Sequence[WorkingLungs]) -> list[list[WorkingLungs]]:
    """The volumes of each patient: none is learned from more than another."""
    return [[one for one in examples if one.patient == name] for name in sorted({one.patient for one in examples})]


def _batch(patients: Sequence[Sequence[WorkingLungs]], draws: Draws) -> tuple[Tensor, Tensor]:
    made = []
    for _ in range(BATCH):
        one = draws.choice(draws.choice(patients))
        hu, masks = reframed(one.hu, one.masks, SHAPE, draws)
        made.append((as_input(scanned(diseased(hu, masks, draws), draws)), masks))
    x, masks = (torch.cat(one) for one in zip(*made, strict=True))
    return x.contiguous(memory_format=torch.channels_last_3d), masks


def _loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy and soft Dice of each lung, both alike."""
    entropy = functional.binary_cross_entropy_with_logits(logits, masks)
    found = logits.sigmoid()
    common, whole = (found * masks).sum((2, 3, 4)), found.sum((2, 3, 4)) + masks.sum((2, 3, 4))
    return entropy + (1.0 - (2.0 * common + 1.0) / (whole + 1.0)).mean()
