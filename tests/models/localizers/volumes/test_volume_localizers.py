"""From a volume to maps that cover it, with each registered method."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.card import Card
from models.errors import InputError
from models.localizers.registry import LOCALIZERS, Localizer
from models.networks.modules.storage import to_bytes
from models.networks.modules.volumes.attention import AttentiveVolume
from models.networks.modules.volumes.cnn3d import Cnn3d
from models.networks.modules.volumes.sliced import LinearVolume
from tests.models import chest_volumes as phantoms

METHODS = ("volume-cam", "volume-cnn3d", "volume-hirescam", "volume-mil")


def network(name: str) -> torch.nn.Module:
    """With random weights."""
    torch.manual_seed(7)
    if name == "volume-cnn3d":
        return Cnn3d(1)
    if name == "volume-mil":
        return AttentiveVolume((4, 10), 1, 2, "cells")
    built = LinearVolume((4, 10), 1, 2, (1, 1, 1))
    torch.nn.init.normal_(built.weight)
    return built


def card(name: str) -> Card:
    return phantoms.cnn_card() if name == "volume-cnn3d" else phantoms.card(name)


def localizer(name: str) -> Localizer:
    return LOCALIZERS.get(name).load(card(name), to_bytes(network(name)), "cpu", None)


@pytest.mark.parametrize("name", METHODS)
def test_the_maps_cover_the_volume_and_nothing_changes_from_call_to_call(name: str) -> None:
    method, volume = localizer(name), phantoms.chest()
    one, two = (method.localize(volume, phantoms.SPACING) for _ in range(2))
    assert one.saliency.ndim == 4
    assert np.isfinite(one.saliency).all()
    np.testing.assert_array_equal(one.saliency, two.saliency)
    np.testing.assert_array_equal(one.logits, two.logits)
    covered = [np.flatnonzero(one.saliency[0].any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    for cells, count, extent in zip(covered, one.saliency.shape[1:], np.array(volume.shape) * 6.0, strict=True):
        assert (cells[-1] + 1 - cells[0]) * extent / count > 0.5 * extent  # the lungs fill more than half of it


def test_the_map_of_the_whole_volume_adds_up_to_the_logit() -> None:
    """Where the crop lies within the volume: a cell of the finest tap, 2 slices and 8 pixels, is 8 cells there."""
    volume = np.full((40, 80, 90), -1000.0, np.float32)
    volume[:, 16:60, 14:74] = phantoms.chest()
    found = localizer("volume-hirescam").localize(volume, phantoms.SPACING)
    assert float(found.saliency[0].sum()) / 8 == pytest.approx(float(found.logits[0]), rel=1e-3)


def test_a_volume_without_lungs_is_refused() -> None:
    with pytest.raises(InputError, match="No aerated lung was found"):
        localizer("volume-cam").localize(np.full((40, 44, 60), 40.0, np.float32), phantoms.SPACING)


@pytest.mark.parametrize("name", METHODS)
def test_without_a_spacing_nothing_is_seen(name: str) -> None:
    with pytest.raises(InputError, match="needs the spacing"):
        localizer(name).localize(phantoms.chest(), None)
