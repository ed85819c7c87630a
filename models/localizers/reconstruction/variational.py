"""Reconstruction residual of a variational autoencoder of normal images at the input's size. Baur et al., 2021."""

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
    """A variational autoencoder of normal images, and a head on its residual."""
    from models.fitting import reconstruction

    return reconstruction.fit(task, reconstruction.VARIATIONAL)


@register(
    "reconstruction-vae",
    maps="residual of a variational autoencoder",
    citation="Kingma and Welling, ICLR 2014; Baur et al., Medical Image Analysis 69 (2021)",
    tables=("weights",),
    fit=fit,
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method with the package's network; see `models.packages.load`."""
    from models.networks.modules.reconstruction.autoencoder import ReconstructionNetwork
    from models.networks.modules.reconstruction.variational import VariationalAutoencoder

    network = ReconstructionNetwork(len(card.labels), VariationalAutoencoder(), None)
    return on_network(CamLocalizer, network, card, data, device, threads)
