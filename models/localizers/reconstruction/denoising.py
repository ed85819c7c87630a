"""Reconstruction residual of a denoising U-Net of normal images at the input's size. Kascenas et al., MIDL 2022."""

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
    """A U-Net that takes noise from normal images, and a head on its residual."""
    from models.fitting import reconstruction

    return reconstruction.fit(task, reconstruction.UNET)


@register(
    "reconstruction-unet",
    maps="residual of a denoising U-Net",
    citation="Kascenas et al., MIDL 2022",
    tables=("weights",),
    fit=fit,
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method with the package's network; see `models.packages.load`."""
    from models.networks.modules.reconstruction.autoencoder import ReconstructionNetwork
    from models.networks.modules.reconstruction.denoising import DenoisingUNet

    network = ReconstructionNetwork(len(card.labels), DenoisingUNet(), None)
    return on_network(CamLocalizer, network, card, data, device, threads)
