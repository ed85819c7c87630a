from __future__ import annotations

import pytest
import torch

from models.card import Network
from models.errors import PackageError
from models.networks.modules.densenet import DenseNet121, load_state, published_state
from models.networks.modules.storage import filled, to_bytes
from models.networks.registry import NETWORKS
from tests.models import xrv_phantoms as theirs


def settled(labels: int, channels: int = 1) -> DenseNet121:
    torch.manual_seed(0)
    network = DenseNet121(labels, channels)
    theirs.settled(network, torch.randn(4, channels, 64, 64))
    return network


def test_it_has_the_parameters_of_the_paper() -> None:
    """7,978,856 with 1000 classes and three channels: Huang et al., CVPR 2017 (8.0 M), as counted by others, too."""
    assert sum(parameter.numel() for parameter in DenseNet121(1000, 3).parameters()) == 7_978_856


def test_the_maps_average_to_the_logits() -> None:
    network = settled(5)
    with torch.inference_mode():
        features = network.features(torch.randn(2, 1, 96, 64))
        logits, maps = network.classify(features), network.maps(features)
    assert [tuple(one.shape) for one in features] == [(2, 1024, 3, 2)]
    assert float(features[0].min()) == 0  # after the last ReLU
    assert maps.shape == (2, 5, 3, 2)
    assert torch.allclose(maps.mean((2, 3)) + network.head.bias, logits, atol=1e-5)


def test_three_alike_channels_are_as_good_as_one() -> None:
    network = settled(2)
    x = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.equal(network(x.expand(1, 3, 64, 64))[0], network(x)[0])


def test_published_names_become_ours() -> None:
    state = published_state(theirs.network().state_dict())
    network = DenseNet121(18)
    assert set(state) == {key for key in network.state_dict() if not key.endswith("num_batches_tracked")}
    load_state(network, state)
    old = "features.denseblock2.denselayer10.norm.2.running_var"  # torchvision before 0.3, and MONAI's
    assert list(published_state({old: torch.ones(1)})) == ["blocks.1.9.norm2.running_var"]
    assert list(published_state({"class_layers.out.bias": torch.ones(1)})) == ["head.bias"]


def test_weights_that_do_not_fit_are_named() -> None:
    state = published_state(theirs.network().state_dict())
    with pytest.raises(PackageError, match=r"'features\.denseblock1\.denselayer1\.norm3\.weight' has no place"):
        published_state({"features.denseblock1.denselayer1.norm3.weight": torch.ones(1)})
    with pytest.raises(PackageError, match=r"Missing key.*norm0\.weight"):
        load_state(DenseNet121(18), {key: value for key, value in state.items() if key != "norm0.weight"})
    with pytest.raises(PackageError, match="size mismatch for head.weight"):
        load_state(DenseNet121(14), state)


def objection(table: dict[str, object]) -> str:
    network = Network.model_validate(table)
    return NETWORKS.get(network.backbone).objection(network)


def test_a_card_of_it_has_neither_taps_nor_border() -> None:
    good: dict[str, object] = {"backbone": "densenet121", "channels": 1, "mean": 0.5, "std": 1.0}
    assert objection(good) == ""
    changes: list[tuple[dict[str, object], str]] = [
        ({"taps": (10,)}, "neither taps nor border"),
        ({"border": 1}, "neither taps nor border"),
        ({"backbone": "efficientnet-lite0", "channels": 3}, "needs taps and channels = 3"),
        ({"backbone": "efficientnet-lite0", "taps": (10,), "channels": 1}, "needs taps and channels = 3"),
    ]
    for change, words in changes:
        assert words in objection(good | change)


def test_it_is_stored_to_the_last_bit() -> None:
    network = settled(3)
    again = filled(DenseNet121(3), to_bytes(network))
    x = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.equal(again(x)[0], network(x)[0])
