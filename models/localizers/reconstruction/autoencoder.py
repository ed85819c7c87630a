"""Reconstruction residual: maps are where an autoencoder of normal images fails. Baur et al., MedIA 69 (2021)."""

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
    """An autoencoder of normal images, and a head on its residual."""
    from models.fitting import reconstruction

    return reconstruction.fit(task)


@register(
    "reconstruction",
    maps="reconstruction residual",
    citation="Baur et al., Medical Image Analysis 69 (2021)",
    tables=("weights",),
    fit=fit,
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method with the package's network; see `models.packages.load`."""
    from models.networks.modules.reconstruction.autoencoder import ReconstructionNetwork

    network = ReconstructionNetwork(len(card.labels))
    return on_network(CamLocalizer, network, card, data, device, threads)
