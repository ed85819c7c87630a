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
    """logit = bias + mean over inner cells of weight · (features - centre).

    `centre` is the mean of the pooled features in training, so that a map is 0 where a cell is as in the average image.

    Parameters
    ----------
    taps
        Blocks of the backbone, the finest first; the stride of each is a multiple of the first's.
    border
        Cells of the coarsest tap at each side that are not inner.
    """

    centre: Tensor

    def __init__(self, taps: tuple[int, ...], labels: int, border: int = 0) -> None:
        super().__init__()
        self.widths = [BLOCK_CHANNELS[tap] for tap in taps]
        self.border = border
        self.backbone = EfficientNetLite0(taps)
        self.head = nn.Linear(sum(self.widths), labels)
        self.register_buffer("centre", torch.zeros(sum(self.widths)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, L) and maps (N, L, h, w) of an input (N, 3, rows, columns); h, w of the finest tap."""
        features = self.features(x)
        return self.classify(features), self.maps(features)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Inner cells of each tap, of the smoothed input: resampling and JPEG differ most in what that removes."""
        return self.inner(self.backbone(smoothed(x)))

    def inner(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The features without the border, of the same width in input pixels in each tap."""
        coarsest = features[-1].shape[-1]
        frames = [self.border * feature.shape[-1] // coarsest for feature in features]
        return tuple(
            feature[..., frame : feature.shape[-2] - frame, frame : feature.shape[-1] - frame]
            for feature, frame in zip(features, frames, strict=True)
        )

    def classify(self, features: tuple[Tensor, ...]) -> Tensor:
        """Logits (N, L) of inner features."""
        return self.pooled_logits(pooled(features))

    def pooled_logits(self, x: Tensor) -> Tensor:
        """Logits (N, L) of pooled features (N, channels of all taps)."""
        logits: Tensor = self.head(x - self.centre)
        return logits

    def maps(self, features: tuple[Tensor, ...]) -> Tensor:
        """Each cell's part of the logits, of inner features.

        A coarse tap's cell is repeated, and the border is 0 with the inner cells scaled up for it: the mean over all
        cells is the logit without its bias.
        """
        weights = torch.split(self.head.weight, self.widths, dim=1)
        total = -(self.head.weight @ self.centre)[None, :, None, None]
        for feature, weight in zip(features, weights, strict=True):
            part = functional.conv2d(feature, weight[:, :, None, None])
            total = total + functional.interpolate(part, features[0].shape[-2:], mode="nearest-exact")
        frame = self.border * features[0].shape[-1] // features[-1].shape[-1]
        framed = functional.pad(total, (frame,) * 4)
        return framed * (framed[0, 0].numel() / total[0, 0].numel())


def smoothed(x: Tensor) -> Tensor:
    """The image (N, C, rows, columns) under the binomial filter (1, 2, 1) / 4 along rows and columns."""
    framed = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    return functional.avg_pool2d(functional.avg_pool2d(framed, 2, 1), 2, 1)


def pooled(features: tuple[Tensor, ...]) -> Tensor:
    """Average of each tap, side by side: (N, channels of all taps)."""
    return torch.cat([feature.mean((2, 3)) for feature in features], 1)


def on_one_grid(features: tuple[Tensor, ...]) -> Tensor:
    """All taps side by side on the grid of the coarsest: (N, channels of all taps, h, w)."""
    size = features[-1].shape[-2], features[-1].shape[-1]
    return torch.cat([functional.adaptive_avg_pool2d(feature, size) for feature in features], 1)


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
    built = CamNetwork(network.taps, labels, network.border)
    counters = {key: value for key, value in built.state_dict().items() if key.endswith("num_batches_tracked")}
    try:
        state = {key: value.float() for key, value in safetensors.torch.load(data).items()}
        built.load_state_dict(state | counters)
    except (SafetensorError, RuntimeError) as error:
        raise PackageError(f"The weights do not fit the [network] of the card: {str(error).splitlines()[0]}") from error
    return built.eval()
