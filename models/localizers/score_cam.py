"""Score-CAM: activations weighted by the logits of the image seen through them. Wang et al., CVPRW 2020.

Each channel of the features, stretched to 0..1 and to the image's size, is laid over the input as a mask. Its weight is
the softmax over channels of the logit under it (there, equations 4 to 7; the logit of the baseline is the same for all
channels and cancels). No gradient is needed; the network runs once for each channel, which is slow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from models.localizers.base import OnNetwork, on_named_network
from models.localizers.gradients import on_finest
from models.localizers.registry import Localized, register
from models.networks.protocols import Centred, OneByOne

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from models.card import Card
    from models.localizers.registry import Localizer

BATCH = 32  # masked inputs in the network at once


class ScoreCamLocalizer(OnNetwork):
    """ReLU of the sum over channels of weight times activation; several taps are added on the finest grid."""

    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """Logits (L,) and maps (L, h, w) of one image."""
        import torch
        from torch.nn import functional

        with torch.inference_mode():
            x = self.prepared(image)
            features = self.network.features(x)
            logits = self.network.classify(features)
            scores = torch.cat([self._scores(x, masks) for masks in self._masks(features, x)])
            weights = torch.softmax(scores, 0)
            taps = zip(features, torch.split(weights, [tap.shape[1] for tap in features]), strict=True)
            maps = functional.relu(on_finest([torch.einsum("cl,nchw->nlhw", one, tap) for tap, one in taps]))
            maps = self.network.framed(maps, features) if isinstance(self.network, Centred) else maps
        return Localized(logits[0].float().cpu().numpy(), maps[0].float().cpu().numpy())

    def _masks(self, features: tuple[Tensor, ...], x: Tensor) -> Iterator[Tensor]:
        """Channels (n, rows, columns) of all taps on the input's grid, 0..1, a batch at a time."""
        import torch
        from torch.nn import functional

        for tap in features:
            low, high = tap.amin((2, 3), keepdim=True), tap.amax((2, 3), keepdim=True)
            unit = torch.where(high > low, (tap - low) / (high - low), 0.0)
            unit = self.network.framed(unit, features) if isinstance(self.network, Centred) else unit
            for some in torch.split(unit, 1 if isinstance(self.network, OneByOne) else BATCH, 1):
                yield functional.interpolate(some, x.shape[-2:], mode="bilinear")[0]

    def _scores(self, x: Tensor, masks: Tensor) -> Tensor:
        """Logits (n, L) of the input under masks (n, rows, columns)."""
        return self.network.classify(self.network.features(x * masks[:, None]))


@register("score-cam", maps="Score-CAM map", citation="Wang et al., CVPR Workshops 2020")
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method on the network of the card; see `models.packages.load`."""
    return on_named_network(ScoreCamLocalizer, card, data, device, threads)
