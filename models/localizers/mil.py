"""Multiple-instance learning: maps are each cell's attention times its logit. Ilse et al., ICML 2018."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.localizers.base import on_network
from models.localizers.cam import CamLocalizer
from models.localizers.registry import register

if TYPE_CHECKING:
    from models.card import Card
    from models.fitting.task import Fit, Task
    from models.localizers.registry import Localizer


def fit(task: Task) -> Fit:
    """Gated attention and the cells' head."""
    from models.fitting import mil

    return mil.fit(task)


@register("mil", maps="attention-weighted evidence of cells", citation="Ilse et al., ICML 2018", taps=True, fit=fit)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method with the package's network; see `models.packages.load`."""
    from models.networks.modules.attention.gated_attention import MilNetwork

    assert card.network is not None
    table = card.network
    network = MilNetwork(table.taps, len(card.labels), table.border, deviations=table.deviations)
    return on_network(CamLocalizer, network, card, data, device, threads)
