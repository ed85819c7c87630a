"""What maps of volumes add up to, whatever the zones and whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.card import Network, VolumeInput
from models.localizers.gradients import label_gradients
from models.localizers.volumes import cam, hirescam
from models.networks.modules.volumes.attention import AttentiveVolume
from models.networks.modules.volumes.cnn3d import CELL, Cnn3d
from models.networks.modules.volumes.encoding import encoded
from models.networks.modules.volumes.sliced import LinearVolume, SlicedNetwork, Taps
from models.networks.modules.volumes.windows import channels
from tests.models import chest_volumes as phantoms

TAPS, LABELS = (4, 10), 3
NETWORK = Network.model_validate(phantoms.CARD["network"])
ZONES = [(1, 1, 1), (2, 2, 2), (3, 2, 4)]


def taps() -> Taps:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 40, 8, 12, generator=generator), torch.randn(6, 112, 4, 6, generator=generator)


def linear(zones: tuple[int, int, int]) -> LinearVolume:
    torch.manual_seed(1)
    network = LinearVolume(TAPS, LABELS, 2, zones).eval()
    torch.nn.init.normal_(network.weight)
    torch.nn.init.normal_(network.bias)
    torch.nn.init.normal_(network.centre)
    return network


@pytest.mark.parametrize("zones", ZONES)
def test_a_class_activation_map_adds_up_to_the_logit(zones: tuple[int, int, int]) -> None:
    network = linear(zones)
    with torch.inference_mode():
        logits, maps = cam.explain(network, taps())
        torch.testing.assert_close(maps.mean((1, 2, 3)) + network.bias, logits[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("zones", ZONES)
def test_hirescam_adds_up_and_is_the_class_activation_map_by_its_cells(zones: tuple[int, int, int]) -> None:
    network, seen = linear(zones), taps()
    with torch.inference_mode():
        logits, maps = hirescam.explain(network, seen)
        torch.testing.assert_close(maps.sum((1, 2, 3)) + network.bias, logits[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(maps * maps[0].numel(), cam.explain(network, seen)[1])


@pytest.mark.parametrize("zones", ZONES)
def test_hirescam_is_gradient_times_activation(zones: tuple[int, int, int]) -> None:
    """Against autograd, on the one tap whose grid is that of the map, where the average volume is 0."""
    network, seen = linear(zones), taps()
    network.centre.zero_()
    network.weight.data[:, 40:] = 0
    _, gradients = label_gradients(network, seen)  # type: ignore[arg-type]
    expected = torch.einsum("dlchw,dchw->ldhw", gradients[0], seen[0])
    with torch.inference_mode():
        torch.testing.assert_close(hirescam.explain(network, seen)[1], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("bag", ["cells", "slices"])
def test_the_evidence_of_attention_adds_up_to_the_logit(bag: str) -> None:
    torch.manual_seed(2)
    network = AttentiveVolume(TAPS, LABELS, 2, bag).eval()
    torch.nn.init.normal_(network.pool.attention.weight)
    torch.nn.init.normal_(network.centre)
    with torch.inference_mode():
        logits, maps = cam.explain(network, taps())
        assert maps.shape == (LABELS, 6, 8, 12)
        torch.testing.assert_close(maps.sum((1, 2, 3)) + network.pool.head.bias, logits[0], atol=1e-4, rtol=1e-4)


def test_batches_of_slices_give_the_logits_of_one_batch() -> None:
    torch.manual_seed(3)
    network = linear((1, 1, 1))
    hu = phantoms.chest(0, (22, 64, 96), (6.0, 4.0, 4.0))
    logits = []
    for batch in (2, 8, 64):
        how = VolumeInput.model_validate(phantoms.CARD["volume"] | {"batch": batch})
        with torch.inference_mode():
            logits.append(network.classify(encoded(network, hu, how, NETWORK, torch.device("cpu"))))
    torch.testing.assert_close(logits[0], logits[2], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logits[1], logits[2], atol=1e-4, rtol=1e-4)


def test_a_slab_is_the_average_of_its_slices() -> None:
    network = SlicedNetwork(TAPS, 1).eval()
    x = torch.randn(4, 3, 32, 48, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        single = network.slabs(x)
        network.slab = 2
        double = network.slabs(x)
    for one, two in zip(single, double, strict=True):
        torch.testing.assert_close((one[0::2] + one[1::2]) / 2, two)


def test_windows_spread_their_hounsfield_units_from_0_to_1() -> None:
    hu = torch.tensor([[[-2000.0, -1350.0, -600.0, 150.0, 3000.0]]])
    window = VolumeInput.model_validate(phantoms.CARD["volume"]).windows[:1]
    assert channels(hu, window, 0.0, 1.0).flatten().tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert channels(hu, window, 0.5, 0.5).flatten().tolist() == [-1.0, -1.0, 0.0, 1.0, 1.0]


def test_the_pooling_of_the_3d_cnn_is_between_mean_and_largest() -> None:
    torch.manual_seed(5)
    network = Cnn3d(LABELS).eval()
    with torch.inference_mode():
        scores = network.scores(torch.randn(1, 3, 2 * CELL, 3 * CELL, 4 * CELL))
        assert scores.shape == (1, LABELS, 2, 3, 4)
        logits = network.pooled(scores) - network.bias
        assert bool((logits >= scores.mean((2, 3, 4)) - 1e-5).all())
        assert bool((logits <= scores.amax((2, 3, 4)) + 1e-5).all())
        same = torch.full((1, LABELS, 2, 2, 2), 0.7)
        np.testing.assert_allclose(network.pooled(same).numpy(), 0.7, atol=1e-5)
