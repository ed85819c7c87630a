from __future__ import annotations

import numpy as np
import pytest
import torch

from models import packages
from models.data.images import read_image
from models.localizers.cam import CamLocalizer
from models.networks.modules.tapped import CamNetwork
from tests.models.shared_data import CHEST_XRAY, needs_chest_xray


def network(*, deviations: bool) -> CamNetwork:
    torch.manual_seed(0)
    built = CamNetwork((10, 14), 3, border=1, deviations=deviations).eval()
    torch.nn.init.normal_(built.head.weight)
    built.centre.normal_()
    built.average.normal_()
    return built


def test_deviations_are_what_is_unusual_in_either_direction() -> None:
    built = network(deviations=True)
    with torch.inference_mode():
        first, second, away, far = built.features(torch.randn(1, 3, 128, 160))
    assert built.widths == [112, 192, 112, 192]
    average, other = torch.split(built.average, [112, 192])
    torch.testing.assert_close(away, (first - average[:, None, None]).abs())
    torch.testing.assert_close(far, (second - other[:, None, None]).abs())


@pytest.mark.parametrize("deviations", [False, True])
def test_the_maps_are_the_logits_taken_apart(deviations: bool) -> None:
    built = network(deviations=deviations)
    image = np.random.default_rng(0).random((128, 160), np.float32)
    logits, maps, *_ = CamLocalizer(built, 0.5, 0.5).localize(image, None)
    assert maps.shape == (3, 8, 10)
    bias = built.head.bias.detach().numpy()
    np.testing.assert_allclose(maps.mean((1, 2)) + bias, logits, atol=1e-4)
    assert maps.std() > 1e-3
    assert (maps[:, :2] == 0).all()  # the border
    assert (maps[:, 2:-2, 2:-2] != 0).all()


def test_channels_last_changes_no_logit() -> None:
    model = packages.load(packages.find("chest-xray"), "cpu")
    network, seen = model.localizer.network, list[bool]()  # type: ignore[attr-defined]
    image = np.random.default_rng(0).random((384, 384), np.float32)
    hook = network.backbone.conv_stem.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
    )
    found = model.predict(image)
    hook.remove()
    assert seen == [True]
    assert found.saliency.flags.c_contiguous
    x = (torch.from_numpy(image) - model.card.network.mean) / model.card.network.std  # type: ignore[union-attr]
    with torch.inference_mode():
        logits, maps = network(x.expand(1, 3, 384, 384).contiguous())
    np.testing.assert_allclose(found.logits, logits[0], atol=1e-4)
    np.testing.assert_allclose(found.saliency, maps[0], atol=1e-3)


def test_the_shipped_maps_are_the_shipped_logits_taken_apart() -> None:
    model = packages.load(packages.find("chest-xray"), "cpu")
    image = np.random.default_rng(0).random((384, 384), np.float32)
    found = model.predict(image)
    assert found.labels[0] == "Atelectasis"
    assert found.saliency.shape == (14, 24, 24)
    bias = model.localizer.network.head.bias.numpy(force=True)  # type: ignore[attr-defined]
    np.testing.assert_allclose(found.saliency.mean((1, 2)) + bias, found.logits, atol=1e-4)
    assert ((found.probabilities > 0) & (found.probabilities < 1)).all()


def test_maps_are_raw() -> None:
    """An image that raises a label less gets a lower map: nothing is stretched per image."""
    model = packages.load(packages.find("chest-xray"), "cpu")
    rng = np.random.default_rng(0)
    found = [model.predict(rng.random((384, 384), np.float32) * scale) for scale in (1.0, 0.2)]
    peaks = np.stack([one.saliency[:, 2:-2, 2:-2].max((1, 2)) for one in found])  # without the border, which is 0
    assert (peaks[0] != peaks[1]).all()
    assert not np.isclose(peaks, 1).any()


def test_centre_makes_the_average_image_zero() -> None:
    built = network(deviations=False)
    features = tuple(torch.ones(1, width, size, size) for width, size in zip(built.widths, (8, 4), strict=True))
    with torch.no_grad():
        built.centre.fill_(1.0)
        assert torch.allclose(built.maps(features), torch.zeros(1, 3, 12, 12), atol=1e-4)  # 2 cells of border each side


@pytest.mark.parametrize(("row", "column"), [(96, 150), (225, 190), (270, 100)])
def test_a_map_changes_where_the_image_changes(row: int, column: int) -> None:
    """The centre of the change lies within half a cell of the largest stride, for all the padding in between."""
    model = packages.load(packages.find("chest-xray"), "cpu")
    image = np.full((384, 384), 0.5, np.float32) + np.random.default_rng(0).normal(0, 0.02, (384, 384)).astype("f4")
    changed = image.copy()
    changed[row - 12 : row + 12, column - 12 : column + 12] += 0.3
    change = np.square(model.predict(changed).saliency - model.predict(image).saliency).sum(0)
    places = (np.arange(24) + 0.5) * 16
    found = (change.sum(1) @ places / change.sum(), change.sum(0) @ places / change.sum())
    assert np.abs(np.subtract(found, (row, column))).max() < 16


@needs_chest_xray
@pytest.mark.parametrize("name", ["00000129_000", "00001968_000", "00010834_000"])
def test_a_real_radiograph_gets_probabilities_and_small_regions(name: str) -> None:
    model = packages.load(packages.find("chest-xray"), "cpu")
    found = model.predict(read_image(CHEST_XRAY / "samples_1024" / f"{name}.png", (384, 384)))
    assert ((found.probabilities > 0.001) & (found.probabilities < 0.999)).all()
    thresholds = np.array([label.saliency_threshold for label in model.card.labels])
    covered = (found.saliency >= thresholds[:, None, None]).mean((1, 2))
    assert covered.max() < 0.5
    small = read_image(CHEST_XRAY / "images" / f"{name}.jpg", (384, 384))
    np.testing.assert_allclose(model.predict(small).logits, found.logits, atol=0.75)  # at half the size, from JPEG
