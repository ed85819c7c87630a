"""Occlusion of volumes: how far a logit falls when a block is hidden. Zeiler and Fergus, ECCV 2014."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from models.localizers.registry import register
from models.localizers.voxels.base import ClassifiesVoxels, loaded

if TYPE_CHECKING:
    from torch import Tensor

    from models.card import Card
    from models.localizers.registry import Localizer

STEPS = 5  # along each axis; a block is twice as long as a step, a third of the input: 125 passes


@register(
    "volume-occlusion",
    maps="occlusion map of the volume",
    citation="Zeiler and Fergus, ECCV 2014",
    kind="volume",
    tables=("network", "weights", "voxels"),
    deviations=False,
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method on the network of the card."""
    found: Any = loaded(VoxelOcclusion, card, data, device, threads, len(card.labels))
    return found  # type: ignore[no-any-return]


class VoxelOcclusion(ClassifiesVoxels):
    """The fall of each logit, averaged over the blocks that hid a cell."""

    def located(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See `ClassifiesVoxels.located`."""
        logits = self._logits(x)
        falls = logits.new_zeros(logits.shape[1], *(STEPS + 1,) * 3)
        counts = falls.new_zeros(falls.shape[1:])
        edges = [[round(cell * length / (STEPS + 1)) for cell in range(STEPS + 2)] for length in x.shape[-3:]]
        for place in product(range(STEPS), repeat=3):
            cells = tuple(slice(at, at + 2) for at in place)
            slices, rows, columns = (slice(edge[at], edge[at + 2]) for edge, at in zip(edges, place, strict=True))
            hidden = x.clone()
            hidden[..., slices, rows, columns] = x.mean((-3, -2, -1), keepdim=True)
            falls[:, *cells] += (logits - self._logits(hidden))[0, :, None, None, None]
            counts[cells] += 1
        return logits, (falls / counts)[None]

    def _logits(self, x: Tensor) -> Tensor:
        found: Tensor = self.network.classify(self.network.features(x))
        return found
