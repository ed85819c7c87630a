"""Masks of volumes that the network itself gives, window by window: their overlaps are averaged, the middles most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.localizers.direct.masks import channels_of, probabilities, scores
from models.localizers.registry import Localized, register
from models.localizers.voxels.base import VoxelLocalizer, loaded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.card import Card
    from models.localizers.registry import Localizer


@register(
    "volume-masks",
    maps="mask probability",
    citation="the network's own masks",
    kind="volume",
    tables=("network", "weights", "voxels", "masks"),
    deviations=False,
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The network of the card, which gives a mask for each label."""
    found: Any = loaded(VoxelMaskLocalizer, card, data, device, threads, channels_of(card))
    return found  # type: ignore[no-any-return]


class VoxelMaskLocalizer(VoxelLocalizer):
    """Logits of how probable a label's most probable voxels are, and the masks' probabilities on the grid."""

    def explain(self, grid: NDArray[np.float32]) -> Localized:
        """See `VoxelLocalizer.explain`: logits of overlapping windows are averaged (MONAI's sliding window)."""
        from monai.inferers.utils import sliding_window_inference

        assert self.card.masks is not None
        x = self.given(grid)
        logits = sliding_window_inference(
            x, self.voxels.size, 1, self.network, self.voxels.overlap, "gaussian", padding_mode="replicate"
        )  # fmt: skip
        maps = probabilities(logits[0], self.card.masks)
        return Localized(scores(maps, self.card.masks), maps)
