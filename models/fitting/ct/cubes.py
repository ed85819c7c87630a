"""A 3D CNN of cubes around candidates: which are nodules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.fitting.draws import Draws
from models.fitting.task import Advance
from models.networks.modules.cubes import SIDE, CubeNetwork
from models.networks.modules.hounsfield import as_input
from models.networks.modules.storage import halved

MARGIN = 2  # voxels around a cube, so that it can be moved
WIDE = SIDE + 2 * MARGIN
BATCH, POSITIVES = 32, 10  # cubes of a step, and how many of them are nodules
STEPS = 300
RATE = 3e-3
NOISE_HU, SHIFT_HU = 40.0, 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Cubes:
    """Candidates of volumes.

    Attributes
    ----------
    hu
        (n, WIDE, WIDE, WIDE) int16.
    nodule
        (n,) whether the middle lies in one.
    patients
        (n,) anatomies, which never cross folds.
    """

    hu: NDArray[np.int16]
    nodule: NDArray[np.bool_]
    patients: NDArray[np.str_]

    def rows(self, index: NDArray[np.bool_]) -> Cubes:
        """These alone."""
        return Cubes(self.hu[index], self.nodule[index], self.patients[index])


def fit(cubes: Cubes, seed: int, advance: Advance, steps: int | None = None) -> CubeNetwork:
    """Train on one thread: the same seed gives the same weights, however many cores there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _fit(cubes, seed, advance, steps or STEPS)
    finally:
        torch.set_num_threads(threads)


def _fit(cubes: Cubes, seed: int, advance: Advance, steps: int) -> CubeNetwork:
    torch.manual_seed(seed)
    draws = Draws(torch.Generator().manual_seed(seed), BATCH)
    module: CubeNetwork = CubeNetwork().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(module.parameters(), RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.15)
    hu, truth = torch.from_numpy(cubes.hu), torch.from_numpy(cubes.nodule)
    sides = [torch.nonzero(truth == one)[:, 0] for one in (True, False)]
    module.train()
    for step in range(steps):
        rows = torch.cat([_drawn(*pair, draws) for pair in zip(sides, (POSITIVES, BATCH - POSITIVES), strict=True)])
        x = as_input(changed(hu[rows].float()[:, None], draws))
        optimizer.zero_grad()
        logits = module(x.contiguous(memory_format=torch.channels_last_3d))[:, 0]
        torch.autograd.backward(functional.binary_cross_entropy_with_logits(logits, truth[rows].float()))
        optimizer.step()
        schedule.step()
        advance("candidates", step + 1, steps)
    halved(module)
    return module.eval()


def _drawn(rows: Tensor, count: int, draws: Draws) -> Tensor:
    return rows[torch.randint(len(rows), (count,), generator=draws.generator)]


def changed(cubes: Tensor, draws: Draws) -> Tensor:
    """Cubes (n, 1, WIDE, WIDE, WIDE) cut to SIDE off the middle, mirrored, blurred, with noise and other HU."""
    starts = [int(torch.randint(2 * MARGIN + 1, (), generator=draws.generator)) for _ in range(3)]
    z, y, x = (slice(start, start + SIDE) for start in starts)
    cut = cubes[:, :, z, y, x]
    cut = cut.flip([axis for axis in (2, 3, 4) if draws.once(0.5)])
    if draws.once(0.3):
        smooth = functional.avg_pool3d(cut, 3, 1, 1, count_include_pad=False)
        cut = cut + (smooth - cut) * float(torch.rand((), generator=draws.generator))
    noise = draws.normal(*cut.shape[1:]) * (draws.between(0.0, 1.0) * NOISE_HU)[..., None]
    return cut + noise + ((2.0 * draws.between(0.0, 1.0) - 1.0) * SHIFT_HU)[..., None]
