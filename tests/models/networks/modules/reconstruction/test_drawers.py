"""What draws images again at their size: coarse noise, a divergence by hand, a lesion that is left in the residual."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from models.fitting.reconstruction import train_autoencoder
from models.localizers.cam import CamLocalizer
from models.networks.modules.reconstruction.autoencoder import GRID, ReconstructionNetwork
from models.networks.modules.reconstruction.denoising import COARSE, DEVIATION, DenoisingUNet, coarse_noise
from models.networks.modules.reconstruction.variational import LATENT, VariationalAutoencoder, divergence

SIZE = 64
LESION = slice(40, 52), slice(16, 28)
CELLS = slice(20, 26), slice(8, 14)  # of the map of 32 x 32


def normal(count: int, seed: int) -> torch.Tensor:
    """Images (N, 1, 64, 64): two dark ovals, whose place and depth vary, on grey."""
    random = np.random.default_rng(seed)
    y, x = np.ogrid[:SIZE, :SIZE]
    images = []
    for depth, dy, dx in zip(random.uniform(0.2, 0.4, count), *random.integers(-4, 5, (2, count)), strict=True):
        ovals = [((y - 32 - dy) / 22) ** 2 + ((x - side - dx) / 10) ** 2 <= 1 for side in (18, 46)]
        images.append(0.6 - depth * (ovals[0] | ovals[1]))
    return torch.from_numpy(np.stack(images).astype(np.float32))[:, None]


@pytest.mark.parametrize("drawer", [DenoisingUNet, VariationalAutoencoder])
def test_a_lesion_that_was_never_seen_stays_in_the_residual(drawer: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = ReconstructionNetwork(2, drawer(), None)
    losses = train_autoencoder(network.autoencoder, normal(96, 0), epochs=12)
    assert losses[-1] < 0.5 * losses[0]
    plain = normal(1, 1)[0, 0].numpy()
    changed = plain.copy()
    changed[LESION] += 0.35
    localizer = CamLocalizer(network.eval(), 0.0, 1.0)
    before, after = (localizer.localize(image, None).saliency[0] for image in (plain, changed))
    assert after.shape == (GRID, GRID)
    row, column = np.unravel_index((after - before).argmax(), after.shape)
    assert (CELLS[0].start <= row < CELLS[0].stop, CELLS[1].start <= column < CELLS[1].stop) == (True, True)
    inside, elsewhere = after[CELLS].mean(), (after.sum() - after[CELLS].sum()) / (after.size - after[CELLS].size)
    assert inside > 3 * elsewhere
    assert inside > 3 * before[CELLS].mean()


def test_noise_is_coarse_and_of_the_papers_deviation() -> None:
    torch.manual_seed(0)
    noise = coarse_noise(torch.zeros(64, 1, 48, 32))
    assert noise.shape == (64, 1, 48, 32)
    peak = float(noise.square().mean((0, 1)).max().sqrt())  # at the numbers of the grid nothing is averaged
    assert abs(peak - DEVIATION) < 0.06
    near, far = ((noise[..., step:] * noise[..., :-step]).mean() / noise.square().mean() for step in (1, 2 * COARSE))
    assert near > 0.9
    assert abs(far) < 0.1


def test_divergence_by_hand() -> None:
    mean, logarithm = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, math.log(4.0)]])
    wanted = (0.5 * 1.0 + 0.5 * (4 - 1 - math.log(4))) / 2
    assert float(divergence(mean, logarithm)) == pytest.approx(wanted)
    assert float(divergence(torch.zeros(3), torch.zeros(3))) == 0.0


def test_nothing_goes_around_the_latent() -> None:
    network = VariationalAutoencoder().eval()
    nn.init.zeros_(network.encoder[-1].weight)  # type: ignore[arg-type]
    with torch.no_grad():
        mean, _ = network.latent(torch.rand(2, 1, 32, 48))
        assert mean.shape == (2, LATENT, 2, 3)
        torch.testing.assert_close(*network(torch.rand(2, 1, 32, 48)).split(1))
