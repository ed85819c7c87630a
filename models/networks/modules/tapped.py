"""A frozen backbone whose tapped maps are averaged, and a linear head: what class activation mapping is exact for."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.modules.efficientnet_lite import BLOCK_CHANNELS, EfficientNetLite0


class TappedNetwork(nn.Module):
    """A frozen backbone of which only the inner cells of some blocks are seen; the part that all our heads share.

    Parameters
    ----------
    taps
        Blocks of the backbone, the finest first; the stride of each is a multiple of the first's.
    border
        Cells of the coarsest tap at each side that are not inner.
    deviations
        Whether the taps are followed by how far each is from `average`, cell by cell: what is unusual in either
        direction counts, and logits stay linear in averaged maps.
    """

    centre: Tensor
    average: Tensor

    def __init__(self, taps: tuple[int, ...], border: int = 0, *, deviations: bool = False) -> None:
        super().__init__()
        channels = [BLOCK_CHANNELS[tap] for tap in taps]
        self.widths = channels * (2 if deviations else 1)
        self.border = border
        self.backbone = EfficientNetLite0(taps)
        self.register_buffer("centre", torch.zeros(sum(self.widths)))
        self.register_buffer("average", torch.zeros(sum(channels) if deviations else 0), persistent=deviations)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Inner cells of each tap, of the smoothed input: resampling and JPEG differ most in what that removes."""
        return self.with_deviations(self.inner(self.backbone(smoothed(x))))

    def with_deviations(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Inner features, followed by how far they are from `average` where the network has that."""
        if not len(self.average):
            return features
        averages = torch.split(self.average, self.widths[: len(features)])
        away = ((one - average[:, None, None]).abs() for one, average in zip(features, averages, strict=True))
        return (*features, *away)

    def inner(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The features without the border, of the same width in input pixels in each tap."""
        coarsest = features[-1].shape[-1]
        frames = [self.border * feature.shape[-1] // coarsest for feature in features]
        return tuple(
            feature[..., frame : feature.shape[-2] - frame, frame : feature.shape[-1] - frame]
            for feature, frame in zip(features, frames, strict=True)
        )

    def centred(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Inner features less `centre`."""
        centres = torch.split(self.centre, self.widths)
        return tuple(feature - one[:, None, None] for feature, one in zip(features, centres, strict=True))

    def framed(self, maps: Tensor, features: tuple[Tensor, ...]) -> Tensor:
        """The border back as zeros around maps (N, L, h, w) of inner features."""
        frame = self.border * maps.shape[-1] // features[-1].shape[-1]
        return functional.pad(maps, (frame,) * 4)


class CamNetwork(TappedNetwork):
    """logit = bias + mean over inner cells of weight · (features - centre).

    `centre` is the mean of the pooled features in training, so that a map is 0 where a cell is as in the average image.
    Parameters are those of `TappedNetwork` and the number of labels.
    """

    def __init__(self, taps: tuple[int, ...], labels: int, border: int = 0, *, deviations: bool = False) -> None:
        super().__init__(taps, border, deviations=deviations)
        self.head = nn.Linear(sum(self.widths), labels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, L) and maps (N, L, h, w) of an input (N, 3, rows, columns); h, w of the finest tap."""
        features = self.features(x)
        return self.classify(features), self.maps(features)

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
        total = -(self.head.weight @ self.centre)[None, :, None, None]
        for feature, weight in zip(features, self.tap_weights(), strict=True):
            part = functional.conv2d(feature, weight[:, :, None, None])
            total = total + functional.interpolate(part, features[0].shape[-2:], mode="nearest-exact")
        framed = self.framed(total, features)
        return framed * (framed[0, 0].numel() / total[0, 0].numel())

    def tap_weights(self) -> tuple[Tensor, ...]:
        """The head's weight (L, c) for each tap."""
        return torch.split(self.head.weight, self.widths, dim=1)


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
