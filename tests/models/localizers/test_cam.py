from __future__ import annotations

import numpy as np
import pytest
import torch

from models import packages
from models.loaded import LoadedModel
from models.localizers.cam import CamLocalizer
from models.networks.modules.tapped import CamNetwork
from tests.models import phantoms


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A package as `packages.load` gives it, with all that the network of a card can have."""
    return packages.load(phantoms.write_package(tmp_path_factory.mktemp("models"), size=384), "cpu")


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


def test_channels_last_changes_no_logit(model: LoadedModel) -> None:
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


def test_a_packages_maps_are_its_logits_taken_apart(model: LoadedModel) -> None:
    image = np.random.default_rng(0).random((384, 384), np.float32)
    found = model.predict(image)
    assert found.labels == ("Disc", "Half")
    assert found.saliency.shape == (2, 24, 24)
    bias = model.localizer.network.head.bias.numpy(force=True)  # type: ignore[attr-defined]
    np.testing.assert_allclose(found.saliency.mean((1, 2)) + bias, found.logits, atol=1e-4)
    assert ((found.probabilities > 0) & (found.probabilities < 1)).all()


def test_maps_are_raw(model: LoadedModel) -> None:
    """An image that raises a label less gets a lower map: nothing is stretched per image."""
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
def test_a_map_changes_where_the_image_changes(model: LoadedModel, row: int, column: int) -> None:
    """The centre of the change lies within half a cell of the largest stride, for all the padding in between."""
    image = np.full((384, 384), 0.5, np.float32) + np.random.default_rng(0).normal(0, 0.02, (384, 384)).astype("f4")
    changed = image.copy()
    changed[row - 12 : row + 12, column - 12 : column + 12] += 0.3
    change = np.square(model.predict(changed).saliency - model.predict(image).saliency).sum(0)
    places = (np.arange(24) + 0.5) * 16
    found = (change.sum(1) @ places / change.sum(), change.sum(0) @ places / change.sum())
    assert np.abs(np.subtract(found, (row, column))).max() < 16
