"""A small 3D CNN: the maps are its scores of cells, which its pooling makes the logit of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.localizers.registry import register

if TYPE_CHECKING:
    from models.card import Card
    from models.fitting.volumes.task import VolumeFit, VolumeTask
    from models.localizers.registry import Localizer


def fit(task: VolumeTask) -> VolumeFit:
    """The whole network, from random weights."""
    from models.fitting.volumes import cnn3d

    return cnn3d.fit(task)


@register(
    "volume-cnn3d",
    maps="scores of the volume's cells",
    citation="fully convolutional scores under log-mean-exp pooling, Pinheiro and Collobert, CVPR 2015",
    kind="volume",
    tables=("network", "weights", "volume"),
    deviations=False,
    fit_volumes=fit,
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method with the package's network; see `models.packages.load`."""
    from models.localizers.volumes.loading import scored

    return scored(card, data, device, threads)
