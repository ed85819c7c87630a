"""Networks as bytes: the safetensors of a package."""

from __future__ import annotations

from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from models.errors import PackageError
from models.networks.protocols import Whole


def halved(backbone: nn.Module) -> None:
    """Round convolution weights to float16 in place, as they are stored, so that training sees what inference sees."""
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            module.weight.data = module.weight.data.half().float()


def to_bytes(network: nn.Module) -> bytes:
    """The network as safetensors: the backbone's convolutions in float16, all else in float32, counters left out."""
    state = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    stored = {
        key: value.half() if key.startswith("backbone.") and value.ndim in (4, 5) else value.float()
        for key, value in state.items()
    }
    data: bytes = safetensors.torch.save({key: value.contiguous() for key, value in stored.items()})
    return data


def filled(built: nn.Module, data: bytes) -> Any:
    """Put what `to_bytes` stored into a network of the same shape, or read it whole; float32, evaluation mode.

    Raises
    ------
    PackageError
        The bytes are no safetensors, or hold another network than the card describes.
    """
    if isinstance(built, Whole):
        return built.read(data)
    counters = {key: value for key, value in built.state_dict().items() if key.endswith("num_batches_tracked")}
    try:
        state = {key: value.float() for key, value in safetensors.torch.load(data).items()}
        built.load_state_dict(state | counters)
    except (SafetensorError, RuntimeError) as error:
        raise PackageError(f"The weights do not fit the [network] of the card: {str(error).splitlines()[0]}") from error
    return built.eval()
