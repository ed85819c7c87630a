from __future__ import annotations

import numpy as np
import pytest
import torch

from models.fitting.reconstruction import train_autoencoder
from models.localizers.cam import CamLocalizer
from models.networks.modules.reconstruction.autoencoder import GRID, SIDE, ReconstructionNetwork


def shaded(count: int, seed: int) -> torch.Tensor:
    """Images (N, 1, 64, 64) that rise from one side to the other."""
    slopes = torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (count, 2)).astype("f4"))
    ramp = torch.linspace(-0.5, 0.5, SIDE)
    return 0.5 + 0.4 * (slopes[:, :1, None] * ramp[:, None] + slopes[:, 1:, None] * ramp[None])[:, None]


@pytest.fixture(scope="module")
def trained() -> tuple[ReconstructionNetwork, list[float]]:
    torch.manual_seed(0)
    network = ReconstructionNetwork(2)
    errors = train_autoencoder(network.autoencoder, shaded(64, 0), epochs=20)
    return network.eval(), errors


def test_it_learns_to_draw_normal_images(trained: tuple[ReconstructionNetwork, list[float]]) -> None:
    _, errors = trained
    assert errors[-1] < 0.5 * errors[0]


def test_what_was_never_seen_stays_in_the_residual(trained: tuple[ReconstructionNetwork, list[float]]) -> None:
    network, _ = trained
    plain = shaded(1, 1)[0, 0].numpy()
    changed = plain.copy()
    changed[20:28, 40:48] += 0.3
    localizer = CamLocalizer(network, 0.0, 1.0)
    before, after = (localizer.localize(image, None)[1][0] for image in (plain, changed))
    assert after.shape == (GRID, GRID)
    row, column = np.unravel_index((after - before).argmax(), after.shape)
    assert (10 <= row < 14, 20 <= column < 24) == (True, True)
    assert (after - before).max() > 0.1


def test_every_label_has_the_same_raw_map(trained: tuple[ReconstructionNetwork, list[float]]) -> None:
    network, _ = trained
    image = shaded(1, 2)[0, 0].numpy()
    logits, maps, *_ = CamLocalizer(network, 0.0, 1.0).localize(np.kron(image, np.ones((2, 2), np.float32)), None)
    assert (maps[0] == maps[1]).all()
    with torch.inference_mode():
        small = torch.from_numpy(image)[None, None]
        residual = (small - network.autoencoder(small)).abs()[0, 0].reshape(GRID, 2, GRID, 2).mean((1, 3))
    np.testing.assert_allclose(maps[0], residual, atol=1e-5)
    places = residual.reshape(8, 4, 8, 4).mean((1, 3)).flatten()
    np.testing.assert_allclose(logits, network.head(places).numpy(force=True), atol=1e-5)
