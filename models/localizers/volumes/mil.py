"""Multiple-instance learning on a volume: each cell's attention times its score. Ilse et al., ICML 2018."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.localizers.registry import register
from models.localizers.volumes.cam import explain

if TYPE_CHECKING:
    from models.card import Card
    from models.fitting.volumes.task import VolumeFit, VolumeTask
    from models.localizers.registry import Localizer


def fit(task: VolumeTask) -> VolumeFit:
    """Gated attention over the cells or slabs, and their scores."""
    from models.fitting.volumes import mil

    return mil.fit(task)


@register(
    "volume-mil",
    maps="attention-weighted evidence of the volume's cells",
    citation="Ilse et al., ICML 2018",
    kind="volume",
    tables=("network", "weights", "volume"),
    taps=True,
    deviations=False,
    fit_volumes=fit,
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method with the package's network; see `models.packages.load`."""
    from models.localizers.volumes.loading import sliced
    from models.networks.modules.volumes.attention import AttentiveVolume

    assert card.network is not None and card.volume is not None
    network = AttentiveVolume(card.network.taps, len(card.labels), card.volume.slab, card.volume.bag)
    return sliced(network, card, data, device, threads, explain)
