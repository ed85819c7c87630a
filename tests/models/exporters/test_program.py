"""Programs: any network as data, its logits and gradients as PyTorch's own, and nothing that may not run."""

from __future__ import annotations

import json

import pytest
import safetensors.torch
import torch
from monai.networks.nets import ResNet, UNet
from torch import Tensor, nn

from models.errors import PackageError
from models.exporters.program import exported, to_program
from models.localizers.gradients import label_gradients
from models.networks.modules.program import KEY, Program, read_program

SHAPE = (1, 3, 48, 32)


class Transformer(nn.Module):
    """Patches, a class token, two blocks with attention, a head on the class token alone."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, stride=8)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True) for _ in range(2))
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.cat([self.token, self.patches(x).flatten(2).transpose(1, 2)], 1)
        for block in self.blocks:
            tokens = block(tokens)
        logits: Tensor = self.head(tokens[:, 0])
        return logits


class Reader(nn.Module):
    """It asks for an operator that is no arithmetic."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sort(x.flatten(1)).values[:, :2] + torch.bincount(x.flatten().to(torch.int64))[:2]


@pytest.fixture(scope="module", autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def program(network: nn.Module, shape: tuple[int, ...] = SHAPE) -> Program:
    return read_program(to_program(exported(network, shape)))


NETWORKS = {
    "resnet": lambda: ResNet("basic", [1] * 4, [2, 4, 4, 8], 2, 3, num_classes=3),
    "transformer": Transformer,
    "unet": lambda: UNet(2, 3, 2, (4, 8, 16), (2, 2)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_program_computes_what_its_network_computes(name: str) -> None:
    network = NETWORKS[name]().eval()
    written, x = program(network), torch.randn(SHAPE)
    with torch.no_grad():
        torch.testing.assert_close(written(x), network(x), atol=1e-5, rtol=1e-5)


def test_the_cut_of_a_convolutional_network_is_its_last_maps() -> None:
    network = NETWORKS["resnet"]().eval()
    written, x = program(network), torch.randn(SHAPE)
    (cells,) = written.features(x)
    assert cells.shape == (1, 8, 3, 2)
    logits, (gradient,) = label_gradients(written, (cells,))
    torch.testing.assert_close(gradient[0, :, :, 0, 0], network.fc.weight.detach() / 6)
    torch.testing.assert_close(logits, network(x).detach(), atol=1e-5, rtol=1e-5)


def test_the_cut_of_a_transformer_lies_where_its_cells_still_matter() -> None:
    written = program(Transformer())
    cells, leading = written.features(torch.randn(SHAPE))
    assert (cells.shape, leading.shape) == ((1, 16, 6, 4), (1, 16, 1, 1))
    _, (gradient, _) = label_gradients(written, (cells, leading))
    assert bool((gradient.abs().sum((0, 1, 2)) > 0).all())


def test_an_operator_that_is_not_of_core_aten_is_refused_when_written_and_when_read() -> None:
    with pytest.raises(PackageError, match="operator 'bincount"):
        to_program(exported(Reader(), (1, 1, 2, 2)))
    for name in ("from_file.default", "__class__.__base__", "relu.__init__", "nothing"):
        table = {"nodes": [["a", name, [{"node": "input"}], {}]], "output": "a", "cut": None, "outputs": 1}
        data = safetensors.torch.save({"w": torch.zeros(1)}, {KEY: json.dumps(table)})
        with pytest.raises(PackageError, match="is not of Core ATen and is not run"):
            read_program(data)


def test_what_is_no_program_is_refused() -> None:
    for data in (b"", b"PK\3\4", safetensors.torch.save({"w": torch.zeros(1)})):
        with pytest.raises(PackageError, match="hold no network as a program"):
            read_program(data)


def test_a_network_that_branches_on_its_input_cannot_be_traced() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(PackageError, match=r"cannot be traced for an input of \(1, 3, 48, 32\)"):
        exported(Branching(), SHAPE)
