"""A frozen backbone whose tapped maps are averaged, and a linear head: what class activation mapping is exact for."""

from __future__ import annotations

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional

from models.backbones import BLOCK_CHANNELS, EfficientNetLite0
from models.card import Network
from models.errors import PackageError


class CamNetwork(nn.Module):
    """logit = bias + mean over cells of weight · (features - centre).

    `centre` is the mean of the pooled features in training, so that a map is 0 where a cell is as in the average image.
    """

    centre: Tensor

    def __init__(self, taps: tuple[int, ...], labels: int) -> None:
        super().__init__()
        self.widths = [BLOCK_CHANNELS[tap] for tap in taps]
        self.backbone = EfficientNetLite0(taps)
        self.head = nn.Linear(sum(self.widths), labels)
        self.register_buffer("centre", torch.zeros(sum(self.widths)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, L) and maps (N, L, h, w) of an input (N, 3, rows, columns); h, w of the finest tap."""
        features = self.backbone(x)
        return self.pooled_logits(pooled(features)), self.maps(features)

    def pooled_logits(self, x: Tensor) -> Tensor:
        """Logits (N, L) of pooled features (N, channels of all taps)."""
        logits: Tensor = self.head(x - self.centre)
        return logits

    def maps(self, features: tuple[Tensor, ...]) -> Tensor:
        """Each cell's part of the logits; a coarse tap's cell is repeated, which keeps the mean exact."""
        weights = torch.split(self.head.weight, self.widths, dim=1)
        total = -(self.head.weight @ self.centre)[None, :, None, None]
        for feature, weight in zip(features, weights, strict=True):
            part = functional.conv2d(feature, weight[:, :, None, None])
            total = total + functional.interpolate(part, features[0].shape[-2:], mode="nearest-exact")
        return total


def pooled(features: tuple[Tensor, ...]) -> Tensor:
    """Global average of each tap, side by side: (N, channels of all taps)."""
    return torch.cat([feature.mean((2, 3)) for feature in features], 1)


def halved(backbone: nn.Module) -> None:
    """Round convolution weights to float16 in place, as they are stored, so that training sees what inference sees."""
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.half().float()


def to_bytes(network: CamNetwork) -> bytes:
    """The network as safetensors: convolutions in float16, all else in float32, counters left out."""
    state = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    stored = {key: value.half() if value.ndim == 4 else value.float() for key, value in state.items()}
    data: bytes = safetensors.torch.save({key: value.contiguous() for key, value in stored.items()})
    return data


def from_bytes(data: bytes, network: Network, labels: int) -> CamNetwork:
    """The network that `to_bytes` stored, in float32 and evaluation mode.

    Raises
    ------
    PackageError
        The bytes are no safetensors, or hold another network than the card describes.
    """
    built = CamNetwork(network.taps, labels)
    counters = {key: value for key, value in built.state_dict().items() if key.endswith("num_batches_tracked")}
    try:
        state = {key: value.float() for key, value in safetensors.torch.load(data).items()}
        built.load_state_dict(state | counters)
    except (SafetensorError, RuntimeError) as error:
        raise PackageError(f"The weights do not fit the [network] of the card: {str(error).splitlines()[0]}") from error
    return built.eval()
