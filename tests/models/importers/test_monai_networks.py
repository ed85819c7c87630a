"""Networks of MONAI as packages hold them: outputs as MONAI's own, weights whole or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from models.errors import PackageError
from models.exporters.program import exported, to_program
from models.importers.monai_networks import ARCHITECTURES, monai
from models.networks.modules.program import read_program

GREY: dict[str, Any] = {"spatial_dims": 2, "in_channels": 1}
SMALL_VIT = {"hidden_size": 12, "mlp_dim": 16, "num_layers": 2, "num_heads": 2, "num_classes": 3}
SMALL_DENSE = {"in_channels": 1, "out_channels": 3, "init_features": 4, "growth_rate": 2, "block_config": [1, 2]}
SMALL_SWIN = {"out_channels": 2, "feature_size": 12, "depths": [1] * 4, "num_heads": [1] * 4}
NETWORKS: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "DenseNet": ("DenseNet", SMALL_DENSE | {"spatial_dims": 2}, (48, 32)),
    "DenseNet, volumes": ("DenseNet", SMALL_DENSE | {"spatial_dims": 3}, (16, 16, 16)),
    "ResNet": (
        "ResNet",
        {"block": "basic", "layers": [1] * 4, "block_inplanes": [2, 4, 4, 8], "spatial_dims": 2, "n_input_channels": 1}
        | {"num_classes": 3},
        (48, 32),
    ),
    "EfficientNet": ("EfficientNetBN", GREY | {"model_name": "efficientnet-b0", "num_classes": 3}, (64, 64)),
    "SENet": ("SEResNet50", GREY | {"layers": [1] * 4, "num_classes": 3}, (64, 64)),
    "ViT": ("ViT", GREY | SMALL_VIT | {"img_size": [32, 48], "patch_size": [8, 8]}, (32, 48)),
    "UNet": ("UNet", GREY | {"out_channels": 2, "channels": [2, 4], "strides": [2]}, (32, 48)),
    "UNet, volumes": (
        "UNet",
        {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [2, 4], "strides": [2]},
        (16, 16, 16),
    ),
    "SwinUNETR": ("SwinUNETR", GREY | SMALL_SWIN, (64, 64)),
    "AutoEncoder": ("AutoEncoder", GREY | {"out_channels": 1, "channels": [2, 4], "strides": [2, 2]}, (32, 32)),
}


def settled(network: nn.Module, noise: torch.Tensor) -> None:
    """Batch norms know the noise and biases are of size one, so that 1e-5 says something of an output."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
            part.momentum = 1.0
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.normal_(part.bias)
    with torch.no_grad():
        network.train()(noise)
    network.eval()


@pytest.mark.parametrize("case", NETWORKS)
def test_outputs_are_monais_to_the_fifth_place(case: str, tmp_path: Path) -> None:
    from monai.networks import nets

    name, arguments, size = NETWORKS[case]
    torch.manual_seed(1)
    more = {"pretrained": False} if "EfficientNet" in name else {"classification": True} if name == "ViT" else {}
    shape = (1, 1, *size)
    theirs = getattr(nets, name)(**arguments, **more)
    settled(theirs, torch.randn(4, 1, *size))
    safetensors.torch.save_file(theirs.state_dict(), tmp_path / "weights.safetensors")
    ours = monai(name, weights=tmp_path / "weights.safetensors", **arguments)
    stored, x = read_program(to_program(exported(ours, shape))), torch.rand(shape)
    with torch.no_grad():
        wanted = theirs(x)
        wanted = wanted[0] if isinstance(wanted, tuple) else wanted
        found = stored(x)
    assert float(wanted.abs().max()) > 0.01
    assert float((found - wanted).abs().max()) <= 1e-5


def test_weights_of_a_checkpoint_are_found_and_those_of_others_refused(tmp_path: Path) -> None:
    name, arguments, _ = NETWORKS["UNet"]
    network, path = monai(name, **arguments), tmp_path / "epoch.pt"
    state = network.state_dict()
    for key, around in (("model", ""), ("state_dict", "model."), ("network", "module.")):
        torch.save({"epoch": 3, key: {around + one: value for one, value in state.items()}, "lr": 0.1}, path)
        read = monai(name, weights=path, **arguments).state_dict()
        assert all(torch.equal(read[one], state[one]) for one in state)
    torch.save({"model": dict(list(state.items())[1:])}, path)
    with pytest.raises(PackageError, match=r"epoch\.pt does not fit the network: Missing key\(s\)"):
        monai(name, weights=path, **arguments)
    (tmp_path / "x.safetensors").write_bytes(b"none")
    with pytest.raises(PackageError, match=r"x\.safetensors cannot be read as safetensors"):
        monai(name, weights=tmp_path / "x.safetensors", **arguments)


def test_everything_wrong_with_the_arguments_is_one_message() -> None:
    with pytest.raises(PackageError) as caught:
        monai("ViT", spatial_dims=2, in_channels=1, patch_size=(8, nn.ReLU), classification=False, surprise=1)
    for words in (
        "no argument 'surprise'",
        "is no plain value",
        "img_size is missing",
        "num_classes is missing",
        "classification must be True, so that it classifies",
    ):
        assert words in str(caught.value)
    with pytest.raises(PackageError, match=r"MONAI's UNet cannot be built of .*strides"):
        monai("UNet", **GREY, out_channels=1, channels=[2, 4, 8], strides=[2, 2, 2, 2], kernel_size=[3, 3, 3])


def test_names_that_cannot_be_taken() -> None:
    assert isinstance(monai("densenet", **NETWORKS["DenseNet"][1]), nn.Module)
    with pytest.raises(PackageError, match="YOLO is no network of MONAI that can be taken; there are: DenseNet, "):
        monai("YOLO")
    with pytest.raises(PackageError, match="TorchVisionFCModel .*; it needs torchvision, which ReadFirst does not"):
        monai("TorchVisionFCModel")


def test_nothing_is_fetched_and_all_names_are_monais(monkeypatch: pytest.MonkeyPatch) -> None:
    from monai.networks import nets

    assert all(hasattr(nets, name) for name in ARCHITECTURES)

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("it was fetched")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refused)
    monkeypatch.setattr("monai.networks.nets.efficientnet.model_zoo.load_url", refused)
    monai("EfficientNetBN", model_name="efficientnet-b0", pretrained=True, num_classes=2, in_channels=1)
