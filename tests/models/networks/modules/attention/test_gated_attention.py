from __future__ import annotations

import numpy as np
import torch

from models.fitting.descent import minimize
from models.localizers.cam import CamLocalizer
from models.networks.modules.attention.gated_attention import GatedHead, MilNetwork
from models.networks.modules.tapped import on_one_grid

IMAGE = np.random.default_rng(0).random((128, 160), np.float32)


def network() -> MilNetwork:
    torch.manual_seed(0)
    built = MilNetwork((10, 14), 3, border=1, deviations=True).eval()
    torch.nn.init.normal_(built.pool.attention.weight)
    built.centre.normal_()
    return built


def test_the_cells_of_a_map_add_up_to_the_logit() -> None:
    built = network()
    logits, maps, *_ = CamLocalizer(built, 0.5, 0.5).localize(IMAGE, None)
    assert maps.shape == (3, 4, 5)
    bias = built.pool.head.bias.numpy(force=True)
    np.testing.assert_allclose(maps.sum((1, 2)) + bias, logits, atol=1e-4)
    assert (maps[:, 0] == 0).all()  # the border
    assert (maps[:, 1:-1, 1:-1] != 0).all()


def test_a_new_head_averages() -> None:
    """Where attention is the same everywhere the logit is that of the averaged features: training starts from there."""
    built = network()
    torch.nn.init.zeros_(built.pool.attention.weight)
    with torch.inference_mode():
        features = built.features(torch.randn(2, 3, 128, 160))
        averaged = on_one_grid(features).mean((2, 3)) - built.centre
        torch.testing.assert_close(built.classify(features), built.pool.head(averaged), rtol=1e-4, atol=1e-4)


def test_attention_learns_which_cell_speaks() -> None:
    """Of 16 cells one tells the label and the others are louder noise in another direction."""
    rng = np.random.default_rng(0)
    truth = rng.random((400, 1)) < 0.5
    cells = rng.normal(size=(400, 16, 6)).astype("f4")
    place = rng.integers(0, 16, 400)
    cells[:, :, 1] = 0
    cells[np.arange(400), place, 1] = 4  # the mark of the cell that speaks
    cells[np.arange(400), place, 0] += np.where(truth[:, 0], 2, -2)
    torch.manual_seed(0)
    *_, trained = minimize(GatedHead(6, 1), lambda rows: torch.from_numpy(cells[rows]), truth, 1e-4, (40,))
    assert isinstance(trained, GatedHead)
    with torch.inference_mode():
        evidence = trained.evidence(torch.from_numpy(cells))[:, 0].numpy()
    assert np.mean(np.abs(evidence).argmax(1) == place) > 0.8
    right = np.mean((evidence.sum(1) + float(trained.head.bias.detach()) > 0) == truth[:, 0])
    assert right > 0.9
