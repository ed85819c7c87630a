"""Attention trained with the task: maps are CBAM's spatial attention times evidence. Woo et al., ECCV 2018."""

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
    """CBAM and a linear head on the last tap."""
    from models.fitting import attention

    return attention.fit(task)


@register(
    "attention",
    maps="spatial attention times class evidence",
    citation="Woo et al., ECCV 2018",
    taps=True,
    deviations=False,
    fit=fit,
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method with the package's network; see `models.packages.load`."""
    from models.networks.modules.attention.cbam import AttentionNetwork

    assert card.network is not None
    network = AttentionNetwork(card.network.taps, len(card.labels), card.network.border)
    return on_network(CamLocalizer, network, card, data, device, threads)
