from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.localizers.base import NetworkLocalizer
from models.localizers.cam import CamLocalizer
from models.localizers.grad_cam import GradCamLocalizer
from models.localizers.grad_cam_plus_plus import GradCamPlusPlusLocalizer
from models.localizers.gradients import GradientLocalizer, label_gradients, on_finest
from models.localizers.hirescam import HiResCamLocalizer
from models.networks.modules.densenet import DenseNet121
from tests.models.localizers.networks import Curved, DenseLike, Hidden, KnownDenseLike, cam_network

METHODS: list[type[GradientLocalizer]] = [GradCamLocalizer, GradCamPlusPlusLocalizer, HiResCamLocalizer]
IMAGE = np.random.default_rng(0).random((128, 160), np.float32)


def both(method: type[NetworkLocalizer], network: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    logits, maps, *_ = method(network, 0.5, 0.5).localize(IMAGE, None)
    return logits, maps


@pytest.mark.parametrize("taps", [(14,), (10, 14)])
def test_grad_cam_is_the_positive_part_of_cam_over_the_cells(taps: tuple[int, ...]) -> None:
    """Selvaraju 2017, section 3.1. The factor is the number of cells of the finest tap with its border."""
    network = cam_network(taps)
    logits, cam = both(CamLocalizer, network)
    found_logits, found = both(GradCamLocalizer, network)
    cells = cam[0].size
    assert cells == (8 * 10 if 10 in taps else 4 * 5)
    np.testing.assert_allclose(found * cells, np.maximum(cam, 0), atol=1e-4)
    np.testing.assert_allclose(found_logits, logits, atol=1e-5)
    assert found.max() > 0 > cam.min()


def test_hirescam_is_cam_over_the_cells_and_adds_up_to_the_logit() -> None:
    """Draelos and Carin 2020, section 3: exact for a linear `classify`."""
    network = cam_network()
    logits, cam = both(CamLocalizer, network)
    _, found = both(HiResCamLocalizer, network)
    np.testing.assert_allclose(found * cam[0].size, cam, atol=1e-4)
    np.testing.assert_allclose(found.sum((1, 2)) + network.head.bias.numpy(force=True), logits, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_a_closed_form_equals_the_gradients(method: type[GradientLocalizer]) -> None:
    network = cam_network()
    logits, closed = both(method, network)
    same_logits, by_gradients = both(method, Hidden(network))
    np.testing.assert_allclose(by_gradients, closed, atol=2e-5 * np.abs(closed).max())
    np.testing.assert_allclose(same_logits, logits, atol=1e-5)
    assert closed.std() > 0
    assert (closed[:, :2] == 0).all()  # the border


@pytest.mark.parametrize("method", METHODS)
def test_a_closed_form_equals_the_gradients_of_a_relu_network(method: type[GradientLocalizer]) -> None:
    torch.manual_seed(0)
    plain, known = DenseLike().eval(), KnownDenseLike().eval()
    known.load_state_dict(plain.state_dict())
    np.testing.assert_allclose(both(method, known)[1], both(method, plain)[1], rtol=1e-4, atol=1e-7)


def test_densenet_takes_the_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.localizers.gradients.label_gradients", None)
    torch.manual_seed(0)
    network = DenseNet121(3, 1)
    _, cam = both(CamLocalizer, network)
    np.testing.assert_allclose(both(HiResCamLocalizer, network)[1] * cam[0].size, cam, atol=1e-5)


def test_all_labels_at_once_are_the_labels_one_by_one() -> None:
    torch.manual_seed(0)
    network = Curved().eval()
    with torch.inference_mode():
        features = network.features(torch.randn(3, 3, 32, 32))
    logits, found = label_gradients(network, features)
    leaves = tuple(tap.clone().requires_grad_() for tap in features)
    again = network.classify(leaves)
    torch.testing.assert_close(logits, again.detach())
    for label in range(again.shape[1]):
        wanted = torch.autograd.grad(again[:, label].sum(), leaves, retain_graph=True)
        for tap, one in zip(found, wanted, strict=True):
            torch.testing.assert_close(tap[:, label], one)


class Forbidden(torch.autograd.Function):
    """What cannot be run backwards."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_: Any, *__: Tensor) -> Tensor:
        raise AssertionError("the backbone was run backwards")


@pytest.mark.parametrize("method", METHODS)
def test_the_backbone_is_never_run_backwards(method: type[GradientLocalizer], monkeypatch: pytest.MonkeyPatch) -> None:
    network = Curved()
    whole = network.features
    guard: Any = Forbidden.apply
    monkeypatch.setattr(network, "features", lambda x: tuple(guard(tap) for tap in whole(x)))
    _, maps = both(method, network)
    assert maps.shape == (5, 32, 40)
    assert all(parameter.grad is None for parameter in network.parameters())
    features = network.features(torch.zeros(1, 3, 32, 32))
    with pytest.raises(AssertionError, match="backwards"):
        network.classify(features).sum().backward()  # type: ignore[no-untyped-call]


def test_grad_cam_plus_plus_is_the_formula_of_the_paper() -> None:
    """Chattopadhay 2018, equations 6 and 10 with their powers of the gradient, written out cell by cell."""
    torch.manual_seed(0)
    tap = torch.rand(1, 2, 2, 3, dtype=torch.float64)
    gradient = torch.randn(1, 4, 2, 2, 3, dtype=torch.float64)
    gradient[0, 0, 0, 0, 0] = 0
    found = GradCamPlusPlusLocalizer(Curved(), 0, 1).part(gradient, tap)
    for label in range(4):
        wanted = torch.zeros(2, 3, dtype=torch.float64)
        for channel in range(2):
            g, a = gradient[0, label, channel], tap[0, channel]
            weight = sum(
                float(g[i, j] ** 2 / (2 * g[i, j] ** 2 + a.sum() * g[i, j] ** 3)) * max(float(g[i, j]), 0.0)
                for i in range(2)
                for j in range(3)
                if g[i, j] != 0
            )
            wanted += weight * a
        torch.testing.assert_close(found[0, label], wanted)


def test_taps_are_added_on_the_finest_grid_and_keep_their_sums() -> None:
    fine, coarse = torch.rand(1, 2, 4, 6), torch.rand(1, 2, 2, 3)
    total = on_finest([fine, coarse])
    assert total.shape == (1, 2, 4, 6)
    torch.testing.assert_close(total.sum((2, 3)), fine.sum((2, 3)) + coarse.sum((2, 3)))
    torch.testing.assert_close((total - fine)[0, 0, 2:, 2:4], coarse[0, 0, 1, 1].expand(2, 2) / 4)


def torchcam_maps(network: nn.Module, method: str) -> Tensor:
    """(L, h, w) un-normalised, by PyPI torchcam, one backward pass through the network a label."""
    torchcam = pytest.importorskip("torchcam.methods")
    x = ((torch.from_numpy(IMAGE) - 0.5) / 0.5).expand(1, 3, *IMAGE.shape)
    with getattr(torchcam, method)(network, "last") as extractor:
        scores = network(x.clone().requires_grad_())
        labels = range(scores.shape[1])
        return torch.stack([extractor(one, scores, normalized=False, retain_graph=True)[0][0] for one in labels])


@pytest.mark.parametrize("network", [DenseLike, KnownDenseLike])
def test_grad_cam_equals_torchcam(network: type[DenseLike]) -> None:
    torch.manual_seed(0)
    built = network().eval()
    np.testing.assert_allclose(both(GradCamLocalizer, built)[1], torchcam_maps(built, "GradCAM"), rtol=1e-4, atol=1e-7)


@pytest.mark.xfail(strict=True, reason="torchcam 0.5.0 divides a copy: its Grad-CAM++ has g² for the share")
def test_grad_cam_plus_plus_equals_torchcam() -> None:
    torch.manual_seed(0)
    built = DenseLike().eval()
    found, theirs = both(GradCamPlusPlusLocalizer, built)[1], torchcam_maps(built, "GradCAMpp")
    np.testing.assert_allclose(found, theirs, rtol=1e-4, atol=1e-7)


def test_torchcams_grad_cam_plus_plus_lacks_the_divisor_and_nothing_else() -> None:
    torch.manual_seed(0)
    built = DenseLike().eval()
    theirs = torchcam_maps(built, "GradCAMpp")
    with torch.no_grad():
        (tap,) = built.features(((torch.from_numpy(IMAGE) - 0.5) / 0.5).expand(1, 3, *IMAGE.shape))
    cells = tap[0, 0].numel()
    weights = torch.relu(built.head.weight / cells) ** 3 * cells
    torch.testing.assert_close(theirs, torch.einsum("lc,chw->lhw", weights, tap[0]), rtol=1e-4, atol=1e-12)
