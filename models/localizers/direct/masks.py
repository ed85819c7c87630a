"""Masks that the network itself gives: its maps are each pixel's probability to belong to the label.

Nothing is explained: what is drawn is what the network returned, on its own grid.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from models.localizers.base import OnNetwork, on_device, on_the_device
from models.localizers.registry import Localized, register
from models.networks.registry import NETWORKS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from models.card import Card, Masks, Network
    from models.localizers.registry import Localizer


@register(
    "masks",
    maps="mask probability",
    citation="the network's own masks",
    tables=("network", "weights", "masks"),
    deviations=False,
    made_by="models.dense_training",
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The network of the card, which gives a mask for each label."""
    from models.networks.modules.storage import filled

    assert card.network is not None and card.masks is not None
    network = NETWORKS.get(card.network.backbone).build(card.network, channels_of(card))
    return MaskLocalizer(on_device(filled(network, data), device, threads), card.network, card.masks)


class MaskLocalizer(OnNetwork):
    """Logits of how probable a label's most probable pixels are, and the masks' probabilities (L, rows, columns)."""

    def __init__(self, network: Any, table: Network, how: Masks) -> None:
        super().__init__(network, table.mean, table.std, table.channels)
        self.masks, self.how = network, how

    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """See `OnNetwork.localize`."""
        with on_the_device(self.network):
            maps = probabilities(self.masks(self.prepared(image))[0], self.how)
        return Localized(scores(maps, self.how), maps)


def channels_of(card: Card) -> int:
    """That the network returns: the labels, and where pixels exclude each other the background before them."""
    assert card.masks is not None
    return len(card.labels) + (card.masks.pixels == "softmax")


def probabilities(logits: Tensor, how: Masks) -> NDArray[np.float32]:
    """(L, …) of a network's channels (C, …)."""
    found = logits.float().sigmoid() if how.pixels == "sigmoid" else logits.float().softmax(0)[1:]
    array: NDArray[np.float32] = found.contiguous().cpu().numpy()
    return array


def scores(maps: NDArray[np.float32], how: Masks) -> NDArray[np.float32]:
    """Logits (L,) of the mean over each map's most probable cells."""
    import numpy as np

    flat = maps.reshape(len(maps), -1)
    count = max(1, math.ceil(how.share * flat.shape[1]))
    best = flat.max(1) if count == 1 else np.partition(flat, -count, 1)[:, -count:].mean(1, dtype=np.float64)
    best = np.clip(best.astype(np.float64), 1e-6, 1.0 - 1e-6)
    logits: NDArray[np.float32] = np.log(best / (1.0 - best)).astype(np.float32)
    return logits
