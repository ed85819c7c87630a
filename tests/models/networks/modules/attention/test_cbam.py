from __future__ import annotations

import numpy as np
import torch

from models.fitting.attention import GATES
from models.fitting.descent import minimize
from models.localizers.cam import CamLocalizer
from models.networks.modules.attention.cbam import AttendedHead, AttentionNetwork, Cbam

IMAGE = np.random.default_rng(0).random((128, 160), np.float32)


def test_a_map_is_attention_times_evidence_and_averages_to_the_logit() -> None:
    torch.manual_seed(0)
    built = AttentionNetwork((14,), 3, border=1).eval()
    for parameter in built.attended.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    built.centre.normal_()
    logits, maps, *_ = CamLocalizer(built, 0.5, 0.5).localize(IMAGE, None)
    assert maps.shape == (3, 4, 5)
    inner = maps[:, 1:-1, 1:-1]
    np.testing.assert_allclose(inner.mean((1, 2)) + built.attended.head.bias.numpy(force=True), logits, atol=1e-4)
    assert (maps[:, 0] == 0).all()
    with torch.inference_mode():
        x = ((torch.from_numpy(IMAGE) - 0.5) / 0.5).expand(1, 3, *IMAGE.shape)
        tap = built.centred(built.features(x))[-1]
        tap = tap * built.attended.cbam.channel(tap)[:, :, None, None]
        where = built.attended.cbam.spatial(tap)
        evidence = torch.einsum("lc,nchw->nlhw", built.attended.head.weight, tap)
    assert where.std() > 0.01
    np.testing.assert_allclose(inner, (where * evidence)[0], atol=1e-4)


def test_a_new_one_lets_a_quarter_of_everything_through() -> None:
    """So that training can start from the linear head."""
    x = torch.randn(2, 32, 5, 4)
    torch.testing.assert_close(GATES * Cbam(32)(x), x)


def test_spatial_attention_learns_to_look_away() -> None:
    """A bright cell without meaning is worth less after training than the average of the others."""
    rng = np.random.default_rng(0)
    truth = rng.random((300, 1)) < 0.5
    x = rng.normal(size=(300, 16, 5, 5)).astype("f4")
    x[:, 0] += np.where(truth, 1.0, -1.0)[:, :, None]
    x[:, 0, 2, 2] = rng.normal(scale=30, size=300)
    x[:, 1:, 2, 2] += 10
    torch.manual_seed(0)
    *_, trained = minimize(AttendedHead(16, 1), lambda rows: torch.from_numpy(x[rows]), truth, 1e-4, (40,))
    assert isinstance(trained, AttendedHead)
    with torch.inference_mode():
        where = trained.cbam.spatial(torch.from_numpy(x))[:, 0].mean(0)
    others = where[[0, 0, 4, 4], [0, 4, 0, 4]].mean()
    assert where[2, 2] < 0.7 * others
