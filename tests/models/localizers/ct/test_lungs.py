from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models import packages
from models.cardfile import card_text
from models.errors import InputError, PackageError
from models.localizers.ct.lungs import VolumeLungLocalizer, probability
from models.localizers.lungs import SIDES
from models.localizers.registry import SegmentsVolumes
from models.metrics.masks import dice
from models.networks.modules.unet import UNet
from tests.models.ct_phantoms import LEFT, RADII, RIGHT, SHAPE, SPACING, chest, ellipsoid, pattern

TRUTH = (ellipsoid(RIGHT, RADII), ellipsoid(LEFT, RADII))


class Knowing(nn.Module):
    """A network that gives the phantom's lungs, whatever it sees, with a part beside them."""

    def __init__(self, *, confident: bool) -> None:
        super().__init__()
        masks = torch.from_numpy(np.stack(TRUTH)).float()
        masks[0, 3:6, 3:6, 3:6] = 1.0
        self.logits = nn.Parameter((masks * 2 - 1) * (4.0 if confident else 0.5))

    def forward(self, x: Tensor) -> Tensor:
        found = torch.full((1, 2, *x.shape[2:]), -4.0)
        d, h, w = SHAPE
        found[0, :, :d, :h, :w] = self.logits
        return found


def test_maps_are_one_half_in_each_lungs_mask_alone() -> None:
    localizer = VolumeLungLocalizer(Knowing(confident=True))  # type: ignore[arg-type]
    assert isinstance(localizer, SegmentsVolumes)
    found = localizer.localize(chest(), SPACING)
    for map_, truth in zip(found.saliency, TRUTH, strict=True):
        np.testing.assert_array_equal(map_ >= 0.5, truth)
    assert found.remarks == ()
    assert found.zones is not None
    np.testing.assert_array_equal(found.zones > 0, TRUTH[0] | TRUTH[1])
    np.testing.assert_allclose(found.logits, 4.0, atol=1e-3)


def test_where_the_network_doubts_the_air_is_taken_and_said() -> None:
    found = VolumeLungLocalizer(Knowing(confident=False)).localize(chest(), SPACING)  # type: ignore[arg-type]
    assert "lungs by their air alone: lungs with a mean probability of 62 %" in found.remarks[0]
    assert dice(found.saliency[0] >= 0.5, TRUTH[0]) > 0.95


def test_a_volume_that_no_stride_divides_keeps_its_shape() -> None:
    found = probability(UNet(1, 2, volumes=True).eval(), np.zeros((17, 33, 20), np.float32))
    assert found.shape == (2, 17, 33, 20)


@pytest.fixture(scope="module")
def shipped_model() -> packages.LoadedModel:  # type: ignore[name-defined]
    return packages.load(packages.find("lungs-ct"), "cpu", 2)


def test_the_shipped_weights_find_the_lungs_of_a_phantom(shipped_model: packages.LoadedModel) -> None:  # type: ignore[name-defined]
    volume = np.repeat(np.repeat(chest(), 2, axis=1), 2, axis=2)
    found = shipped_model.predict(volume, (4.0, 2.0, 2.0))
    assert found.labels == SIDES
    for index, truth in enumerate(TRUTH):
        assert dice(found.saliency[index] >= 0.5, truth) > 0.85


def test_a_volume_without_lungs_is_refused(shipped_model: packages.LoadedModel) -> None:  # type: ignore[name-defined]
    with pytest.raises(InputError, match="No lungs were found"):
        shipped_model.predict(np.full((40, 128, 128), 40.0, np.float32), (4.0, 2.0, 2.0))


def test_a_card_of_other_labels_is_refused(tmp_path: Path) -> None:
    card = pattern("lungs-ct")
    (tmp_path / "weights.safetensors").write_bytes((packages.find("lungs-ct") / "weights.safetensors").read_bytes())
    turned = card.model_copy(update={"labels": card.labels[::-1]})
    (tmp_path / packages.CARD).write_text(card_text(turned), encoding="utf-8")
    with pytest.raises(PackageError, match="has the labels Right_lung and Left_lung, in this order"):
        packages.load(tmp_path, "cpu")


def test_a_lung_that_is_not_seen_has_no_probability_and_is_remarked_on() -> None:
    network = Knowing(confident=True)
    network.logits.data[1] = -4.0
    hu = chest()
    hu[TRUTH[1]] = 20.0
    found = VolumeLungLocalizer(network).localize(hu, SPACING)  # type: ignore[arg-type]
    assert np.isfinite(found.logits).all()
    assert found.logits[1] < -10
    assert "no left lung was seen" in found.remarks
