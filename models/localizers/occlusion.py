"""Occlusion: how far a logit falls when a patch of the image is hidden. Zeiler and Fergus, ECCV 2014.

It asks nothing of a network but its logits, and runs it once for each of 15 x 15 positions.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from models.localizers.base import OnNetwork, on_named_network
from models.localizers.registry import Localized, register

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from models.card import Card
    from models.localizers.registry import Localizer

STEPS = 15  # a side; a patch is twice as wide as a step, an eighth of the image


class OcclusionLocalizer(OnNetwork):
    """The fall of each logit, averaged over the patches that hid a cell."""

    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """Logits (L,) and maps (L, 16, 16) of one image."""
        import torch

        with torch.inference_mode():
            x = self.prepared(image)
            logits = self._logits(x)
            falls = logits.new_zeros(logits.shape[1], STEPS + 1, STEPS + 1)
            counts = falls.new_zeros(STEPS + 1, STEPS + 1)
            for row, column in product(range(STEPS), repeat=2):
                cells = slice(row, row + 2), slice(column, column + 2)
                falls[:, *cells] += (logits - self._logits(hidden(x, row, column)))[0, :, None, None]
                counts[cells] += 1
        return Localized(logits[0].float().cpu().numpy(), (falls / counts).float().cpu().numpy())

    def _logits(self, x: Tensor) -> Tensor:
        return self.network.classify(self.network.features(x))


def hidden(x: Tensor, row: int, column: int) -> Tensor:
    """The input with the mean of each channel in the four cells from (row, column) on, of 16 x 16."""
    found = x.clone()
    edges = [[round(cell * length / (STEPS + 1)) for cell in range(STEPS + 2)] for length in x.shape[-2:]]
    rows, columns = (slice(edge[at], edge[at + 2]) for edge, at in zip(edges, (row, column), strict=True))
    found[..., rows, columns] = x.mean((-2, -1), keepdim=True)
    return found


@register("occlusion", maps="occlusion map", citation="Zeiler and Fergus, ECCV 2014", general=True, deviations=False)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method on the network of the card; see `models.packages.load`."""
    return on_named_network(OcclusionLocalizer, card, data, device, threads)
