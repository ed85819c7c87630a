from __future__ import annotations

import numpy as np
import pytest
import torch

from models.card import Network
from models.errors import InputError
from models.localizers.slice_mil import SliceMilLocalizer, placed
from models.networks.modules.slice_bag import SliceBag
from tests.models import slice_phantoms
from tests.models.slice_phantoms import drawn, hounsfield

SPACING = (5.0, 1.0, 1.0)
KINDS = ("normal", "malignant", "benign", "malignant")
VOLUME = hounsfield(np.stack([np.full((96, 96), 0.15, np.float32), *(drawn(one, 7) for one in KINDS)]))


def localizer(attends: bool = True) -> SliceMilLocalizer:
    torch.manual_seed(0)
    card = slice_phantoms.card()
    table = card.network
    assert isinstance(table, Network)
    network = SliceBag(table.taps, 3)
    torch.nn.init.normal_(network.head.weight)
    torch.nn.init.normal_(network.head.bias)
    if attends:
        torch.nn.init.normal_(network.attention.score.weight)
    method = SliceMilLocalizer(network, card)
    frame = method.frame(drawn("malignant", 7))
    assert frame is not None
    scale = method.see(frame.image[None]).pooled.norm()  # a random backbone's features are large or small
    network.attention.content.weight.data *= 5.0 / scale
    network.attention.gate.weight.data *= 5.0 / scale
    return method


@pytest.mark.parametrize("attends", [True, False])
def test_the_bag_is_the_attended_mean_of_its_slices(attends: bool) -> None:
    method = localizer(attends)
    logits, saliency, *_ = method.localize(VOLUME, SPACING)
    assert saliency.shape == (3, 5, 64, 64)
    assert (saliency[:, 0] == 0).all()  # an empty slice is not in the bag
    frames = [method.frame(drawn(one, 7)) for one in KINDS]
    seen = method.see(np.stack([frame.image for frame in frames if frame]))
    with torch.inference_mode():
        weights = method.network.weights(seen.pooled)
    np.testing.assert_allclose(logits, (weights @ seen.logits).numpy(), atol=1e-3)
    assert bool(np.ptp(weights.numpy()) > 1e-3) == attends
    bias = method.network.head.bias.detach().numpy()
    explained = (seen.maps.mean((2, 3)) * weights[:, None]).sum(0).numpy() + bias
    np.testing.assert_allclose(explained, logits, atol=1e-3)
    shares = (weights * len(weights)).numpy()
    for index, (frame, share) in enumerate(zip(frames, shares, strict=True), start=1):
        assert frame is not None
        weighted = share * seen.maps[index - 1].numpy()
        there = placed(weighted, frame.box, (96, 96), (64, 64))
        np.testing.assert_allclose(saliency[:, index], there, atol=1e-3 * np.abs(there).max())


def test_slices_see_nothing_of_the_table_or_of_what_air_was_written_as() -> None:
    method = localizer()
    other = VOLUME.copy()
    other[other < -1000] = -2000.0
    other[:, 86:90] = -1000.0
    first, second = (method.localize(one, SPACING) for one in (VOLUME, other))
    np.testing.assert_allclose(first.logits, second.logits, atol=1e-4)


def test_a_volume_without_lungs_is_refused() -> None:
    with pytest.raises(InputError, match="none of these shows a body with lungs"):
        localizer().localize(np.full((6, 128, 128), -1000.0, np.float32), SPACING)


def test_maps_lie_where_their_frame_lay() -> None:
    maps = np.zeros((1, 8, 8), np.float32)
    maps[0, 2, 6] = 1.0
    whole = placed(maps, (20, 40, 80, 40), (120, 100), (60, 50))
    y, x = np.unravel_index(whole[0].argmax(), (60, 50))
    assert (y + 0.5) * 2 == pytest.approx(20 + 80 * 2.5 / 8, abs=2)
    assert (x + 0.5) * 2 == pytest.approx(40 + 40 * 6.5 / 8, abs=2)
    assert (whole[0, :10] == 0).all()
    assert (whole[0, :, :20] == 0).all()
    flat = placed(np.ones((1, 8, 8), np.float32), (20, 40, 80, 40), (120, 100), (60, 50))
    assert set(np.unique(flat.round(5)).tolist()) == {0.0, 1.0}
    assert flat.sum() == 40 * 20
