"""The network of a bundle: its class and arguments read as data, its weights, and the bytes of a package's file.

A DenseNet-121 is our own. Any other that classifies images is built by MONAI, traced once, and written as a program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import PackageError
from models.exporters.program import exported, to_program
from models.importers import foreign, monai_networks
from models.importers.bundle.transforms import Postprocessing, Preprocessing
from models.importers.pickled import read_tensors
from models.networks.modules.densenet import STRIDE, published_state
from models.networks.modules.program import read_program

WEIGHTS = Path("models") / "model.pt"
# Arguments of monai.networks.nets.DenseNet that make it our DenseNet-121; None: of no matter once it is trained.
OURS: Mapping[str, tuple[Any, ...] | None] = {
    "spatial_dims": (2,),
    "in_channels": (1, 3),
    "out_channels": None,
    "init_features": (64,),
    "growth_rate": (32,),
    "block_config": ([6, 12, 24, 16],),
    "bn_size": (4,),
    "act": ("relu", "RELU", ["relu", {"inplace": True}]),
    "norm": ("batch", "BATCH"),
    "dropout_prob": None,
    "pretrained": None,
    "progress": None,
}
POSITIONS = "patch_embedding.position_embeddings"  # of a ViT
SAME = 1e-4  # of the size of a network's output: what transposed weights may change


@dataclass(frozen=True, slots=True)
class Described:
    """What `network_def` describes."""

    name: str
    arguments: dict[str, Any]
    channels: int
    outputs: int

    @property
    def ours(self) -> bool:
        """Whether it is the DenseNet-121 of `models.networks.modules.densenet`."""
        known = all(key in OURS and (OURS[key] or (value,)).count(value) for key, value in self.arguments.items())
        return self.name in ("DenseNet", "DenseNet121") and known


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """The bytes of the weights' file, and what a card holds of it.

    Attributes
    ----------
    localizer
        Exact where the network ends in global average pooling and a linear layer.
    thresholds
        Saliency of each label from which a region begins; None: from half of the map's peak on.
    stride
        Input pixels a cell of the map.
    """

    data: bytes
    backbone: str
    localizer: str
    thresholds: tuple[float, ...] | None
    stride: int


def described(table: Any) -> Described:
    """The network of `network_def`, all that is wrong with it in one PackageError."""
    target = str(table.get("_target_", "")) if isinstance(table, dict) else ""
    path, _, name = target.rpartition(".")
    if not name or (path and not path.startswith("monai.networks.nets")):
        raise PackageError(f"network_def: {target or 'no _target_'} is not a network of monai.networks.nets")
    arguments = {key: value for key, value in table.items() if not key.startswith("_")}
    name, known = monai_networks.architecture(name)
    wrong = list(monai_networks.objections(name, arguments))
    if known.purpose != "classifies":
        wrong = [f"{name} {known.purpose}, and bundles are taken whose network classifies images"]
    elif arguments.get("spatial_dims", _default(name)) != 2:
        wrong.append("spatial_dims must be 2: volumes of others' networks have no way in yet")
    channels, outputs = arguments.get(known.inputs), arguments.get(known.outputs)
    if not wrong and (channels not in (1, 3) or not isinstance(outputs, int) or outputs < 1):
        wrong.append(f"{known.inputs} must be 1 or 3, and {known.outputs} a number of findings")
    if wrong:
        raise PackageError("; ".join(f"network_def: {one}" for one in wrong))
    assert isinstance(channels, int)
    assert isinstance(outputs, int)
    return Described(name, arguments, channels, outputs)


def _default(name: str) -> int:
    """MONAI's spatial_dims where it is left out."""
    return 2 if name == "EfficientNetBN" else 3


def made(bundle: Path, network: Described, before: Preprocessing, after: Postprocessing) -> Made:
    """The bytes of the package's network; PackageError where the weights are missing or do not fit."""
    state = _state(bundle)
    return _densenet(state, network, before, after) if network.ours else _program(state, network, before, after)


def _state(bundle: Path) -> dict[str, Tensor]:
    path = bundle / WEIGHTS
    if not path.is_file():
        scripted = path.with_suffix(".ts").is_file()
        reason = "only model.ts is there, a TorchScript program, which is not run: give model.pt" if scripted else ""
        raise PackageError(f"{WEIGHTS} is missing" + (f"; {reason}" if reason else ""))
    return read_tensors(path)


def _densenet(state: dict[str, Tensor], network: Described, before: Preprocessing, after: Postprocessing) -> Made:
    """Transposed to see rows first, the head with one output a label."""
    state = published_state(state)
    if len(state.get("head.bias", ())) != network.outputs:
        raise PackageError(f"{WEIGHTS} has not the {network.outputs} outputs that network_def has")
    if before.x_first:
        state = {key: transposed(value) for key, value in state.items()}
    if of_two(network, after):  # softmax of two is the sigmoid of their difference
        for key in ("head.weight", "head.bias"):
            state[key] = state[key][1:] - state[key][:1]
    thresholds = [round(foreign.logit(after.threshold) - float(bias), 6) for bias in state["head.bias"]]
    data = foreign.densenet_bytes(state, len(thresholds), network.channels)
    return Made(data, "densenet121", "cam", tuple(thresholds), STRIDE)


class Difference(nn.Module):
    """The second output less the first: its sigmoid is their softmax."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 1)."""
        logits = first(self.network(x))
        return logits[:, 1:] - logits[:, :1]


def _program(state: dict[str, Tensor], network: Described, before: Preprocessing, after: Postprocessing) -> Made:
    assert before.size is not None
    size = before.size[::-1] if before.x_first else before.size
    built = monai_networks.build(network.name, network.arguments)
    monai_networks.fill(built, state, str(WEIGHTS))
    if before.x_first:
        built = rows_first(built, network, size)
    shape = (1, network.channels, *size)
    data = to_program(exported(Difference(built) if of_two(network, after) else built, shape))
    program = read_program(data)
    with torch.no_grad():
        cells, *others = program.features(torch.zeros(shape))
        rest = program.classify((torch.zeros_like(cells), *map(torch.zeros_like, others)))[0]
    stride = size[0] // cells.shape[2]
    if not monai_networks.ARCHITECTURES[network.name].pooled:
        return Made(data, "program", "grad-cam", None, stride)
    count = cells.shape[2] * cells.shape[3]  # HiResCAM is the class activation map divided by them
    thresholds = [round((foreign.logit(after.threshold) - float(bias)) / count, 8) for bias in rest]
    return Made(data, "program", "hirescam", tuple(thresholds), stride)


def rows_first(built: nn.Module, network: Described, size: tuple[int, int]) -> nn.Module:
    """A network that sees the image as it is where this one sees it transposed; PackageError where there is none.

    Its kernels and its table of positions are the transposed ones, which is tried on noise.
    """
    sides = {"img_size": list(size)} if "img_size" in network.arguments else {}
    other = monai_networks.build(network.name, network.arguments | sides)
    state = {key: transposed(value) for key, value in built.state_dict().items()}
    if POSITIONS in state:
        state[POSITIONS] = _positions(state[POSITIONS], built, network, size)
    monai_networks.fill(other, state, str(WEIGHTS))
    x = torch.rand(1, network.channels, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted, found = first(built(x.transpose(2, 3))), first(other(x))
    if float((wanted - found).abs().max()) > SAME * max(1.0, float(wanted.abs().max())):
        raise PackageError("it sees columns first and cannot be transposed: add Transposed to preprocessing")
    return other


def _positions(table: Tensor, built: nn.Module, network: Described, size: tuple[int, int]) -> Tensor:
    patch = network.arguments["patch_size"]
    rows, columns = (length // (patch if isinstance(patch, int) else patch[0]) for length in size)
    return table.reshape(len(table), columns, rows, -1).transpose(1, 2).flatten(1, 2)


def transposed(value: Tensor) -> Tensor:
    """A kernel with rows and columns exchanged; other tensors as they are."""
    return value.transpose(2, 3).contiguous() if value.ndim == 4 else value


def first(output: Any) -> Tensor:
    """The logits of a network that may return more."""
    logits: Tensor = output[0] if isinstance(output, tuple | list) else output
    return logits


def of_two(network: Described, after: Postprocessing) -> bool:
    """Whether two exclusive outputs are one finding."""
    return after.activation == "softmax" and network.outputs == 2
