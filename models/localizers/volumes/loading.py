"""Networks of volumes with the weights of a package, as localizers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from models.anatomy.volumes.working import Working
from models.localizers.base import on_device
from models.localizers.volumes.base import SliceLocalizer, VolumeLocalizer
from models.networks.modules.storage import filled
from models.networks.modules.volumes import scoring
from models.networks.modules.volumes.cnn3d import Cnn3d
from models.networks.modules.volumes.sliced import LinearVolume, SlicedNetwork

if TYPE_CHECKING:
    from models.card import Card, Network, VolumeInput
    from models.localizers.registry import Localizer
    from models.localizers.volumes.base import Explain


def linear_volume(card: Card, data: bytes, device: str, threads: int | None, explain: Explain) -> Localizer:
    """A `LinearVolume`; see `models.packages.load`."""
    assert card.network is not None and card.volume is not None
    network = LinearVolume(card.network.taps, len(card.labels), card.volume.slab, card.volume.zones)
    return sliced(network, card, data, device, threads, explain)


def sliced(
    network: SlicedNetwork, card: Card, data: bytes, device: str, threads: int | None, explain: Explain
) -> Localizer:
    """A network of slices whose taps `explain` makes logits and maps of."""
    assert card.network is not None and card.volume is not None
    ready = on_device(filled(network, data), device, threads)
    return SliceLocalizer(ready, card.volume, card.network, explain)


def scored(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """A `Cnn3d`."""
    assert card.network is not None and card.volume is not None
    network = on_device(filled(Cnn3d(len(card.labels), card.network.channels), data), device, threads)
    return ScoreLocalizer(network, card.volume, card.network)


class ScoreLocalizer(VolumeLocalizer):
    """A `Cnn3d` that sees the whole crop at once; its maps are the scores of cells."""

    def __init__(self, module: Cnn3d, how: VolumeInput, network: Network) -> None:
        super().__init__(module, how, network)
        self.cnn = module

    def working(self, image: NDArray[np.float32], spacing: tuple[float, ...]) -> Working:
        """See `VolumeLocalizer.working`."""
        return Working.of(image, spacing, self.how, scoring.CELLS, scoring.SHARE)

    def explain(self, hu: NDArray[np.float32], device: torch.device) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `VolumeLocalizer.explain`."""
        with torch.inference_mode():
            scores = self.cnn.scores(scoring.stacked(hu, self.how, self.network).to(device))
            logits = self.cnn.pooled(scores)
        return logits[0].float().cpu().numpy(), scores[0].float().cpu().numpy()
