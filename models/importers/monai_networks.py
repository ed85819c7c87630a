"""Networks of MONAI by name: which there are, what each takes, and weights put into one whole or not at all.

A name and its arguments are data, as a MONAI Bundle has them; nothing is fetched, whatever `pretrained` says. Networks
that need torchvision (TorchVisionFCModel) are left out: ReadFirst does not install it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from models.errors import PackageError, numbered

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network class of `monai.networks.nets`, or a function there that makes one.

    Attributes
    ----------
    inputs, outputs
        Its arguments for the channels of the image, and for logits, masks or channels of what it returns.
    base
        The class that takes what it does not take itself.
    pooled
        Whether it ends in global average pooling and a linear layer, so that HiResCAM is exact.
    always
        Arguments that have one value here.
    """

    purpose: Literal["classifies", "segments", "reconstructs"]
    inputs: str = "in_channels"
    outputs: str = "out_channels"
    base: str = ""
    pooled: bool = False
    always: Mapping[str, Any] = field(default_factory=dict)


_DENSE = Architecture("classifies", base="DenseNet", pooled=True)
_RES = Architecture("classifies", "n_input_channels", "num_classes", "ResNet", pooled=True)
_SE = Architecture("classifies", outputs="num_classes", base="SENet", pooled=True)
_VIT = Architecture("classifies", outputs="num_classes", always={"classification": True})
_MASKS, _IMAGES = Architecture("segments"), Architecture("reconstructs")
_SE_NETS = ("SENet154", "SEResNet50", "SEResNet101", "SEResNet152", "SEResNext50", "SEResNext101")
_TO_MASKS = ("UNet", "BasicUNet", "AttentionUnet", "DynUNet", "SegResNet", "VNet", "HighResNet", "FlexibleUNet")

ARCHITECTURES: Mapping[str, Architecture] = {
    **dict.fromkeys(("DenseNet", *(f"DenseNet{depth}" for depth in (121, 169, 201, 264))), _DENSE),
    **dict.fromkeys(("ResNet", *(f"resnet{depth}" for depth in (10, 18, 34, 50, 101, 152, 200))), _RES),
    "EfficientNetBN": Architecture("classifies", outputs="num_classes", pooled=True),
    **dict.fromkeys(_SE_NETS, _SE),
    "ViT": _VIT,
    **dict.fromkeys((*_TO_MASKS, "UNETR", "SwinUNETR"), _MASKS),
    "AutoEncoder": _IMAGES,
    "VarAutoEncoder": Architecture("reconstructs", inputs="in_shape"),
}
_TO_FETCH = ("pretrained", "progress")
_BY_NAME = {name.lower(): name for name in ARCHITECTURES}  # MONAI, too, has some in several spellings
_PLAIN = (bool, int, float, str)


def architecture(name: str) -> tuple[str, Architecture]:
    """MONAI's own spelling and what is known of it; PackageError where it is none of them."""
    known = _BY_NAME.get(name.lower())
    if known is None:
        there = f"there are: {', '.join(ARCHITECTURES)}"
        reason = "it needs torchvision, which ReadFirst does not install" if name.startswith("TorchVision") else there
        raise PackageError(f"{name} is no network of MONAI that can be taken; {reason}.")
    return known, ARCHITECTURES[known]


def objections(name: str, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """All that is wrong with the arguments of a network, as clauses."""
    known, found = architecture(name)
    taken = _taken(known, found)
    wrong = [f"{known} has no argument {key!r}" for key in arguments if key not in taken]
    wrong += [f"{key} = {value!r} is no plain value" for key, value in arguments.items() if not _plain(value)]
    needed = [key for key, one in taken.items() if one.default is one.empty] + [found.inputs, found.outputs]
    wrong += [f"{key} is missing" for key in dict.fromkeys(needed) if key not in arguments]
    other = {key: value for key, value in found.always.items() if arguments.get(key, value) != value}
    return (*wrong, *(f"{key} must be {value!r}, so that it {found.purpose}" for key, value in other.items()))


def build(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """The network with random weights, in evaluation mode.

    Raises
    ------
    PackageError
        There is none of that name, or its arguments are wrong; all of it in one message.
    """
    from monai.networks import nets  # noqa: PLC0415 (seconds)

    known, found = architecture(name)
    wrong = objections(name, arguments)
    if wrong:
        raise PackageError(numbered(f"MONAI's {known} cannot be built", wrong))
    given = {key: value for key, value in arguments.items() if key not in _TO_FETCH} | dict(found.always)
    given |= {key: False for key in _TO_FETCH if key in _taken(known, found)}
    try:
        network: nn.Module = getattr(nets, known)(**given)
        return network.eval()
    except Exception as error:  # whatever MONAI's constructors raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PackageError(f"MONAI's {known} cannot be built of {given}: {reason}") from error


def monai(name: str, *, weights: str | Path | None = None, **arguments: Any) -> nn.Module:
    """A network of MONAI, as `Package` takes it.

    Parameters
    ----------
    name
        One of `ARCHITECTURES`: "DenseNet121", "ViT", "UNet".
    weights
        A safetensors file, or one of torch.save with a state dict, of which nothing is run; None: random weights.
    arguments
        Those of MONAI's class: spatial_dims, in_channels, out_channels and so on.

    Raises
    ------
    PackageError
        There is no such network, its arguments are wrong, or the weights do not fit it.
    """
    network = build(name, arguments)
    if weights is not None:
        from models.importers.pickled import read_weights  # noqa: PLC0415 (torch)

        fill(network, read_weights(Path(weights)), str(weights))
    return network


def fill(network: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Take the weights, all of them and no other; PackageError names the first that does not fit.

    They may lie in modules around the network ("module.", "model."), as DataParallel and Lightning write them.
    """
    own = network.state_dict()
    inside = unwrapped(state, next(iter(own)))
    counters = {key: value for key, value in own.items() if key.endswith("num_batches_tracked")}
    given = {key: value.to(own[key].dtype) if key in own else value for key, value in inside.items()}
    try:
        network.load_state_dict(counters | given)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise PackageError(f"{source} does not fit the network: {' '.join(lines[1:2]) or lines[0]}") from error


def unwrapped(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Weights by the names that a network gives them itself, one of which is `name`."""
    around = "" if name in state else next((key for key in state if key.endswith(f".{name}")), "").removesuffix(name)
    return {key.removeprefix(around): value for key, value in state.items() if key.startswith(around)}


def _taken(name: str, found: Architecture) -> dict[str, inspect.Parameter]:
    """The arguments that it takes, by name; of its base class those that it does not fix itself."""
    return {one.name: one for one in _parameters(name, found)}


def _parameters(name: str, found: Architecture) -> Iterator[inspect.Parameter]:
    from monai.networks import nets  # noqa: PLC0415 (seconds)

    own = inspect.signature(getattr(nets, name)).parameters.values()
    yield from (one for one in own if one.kind is not one.VAR_KEYWORD)
    if found.base and found.base != name:
        base = inspect.signature(getattr(nets, found.base)).parameters.values()
        fixed = {"block", "layers", "block_inplanes", *(one.name for one in own)}
        yield from (one for one in base if one.name not in fixed)


def _plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _plain(one) for key, one in value.items())
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, _PLAIN)
