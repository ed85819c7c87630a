"""Class activation maps of a volume: exact for linear scores of slices and their mean. Zhou et al., CVPR 2016."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.card import Code
from models.localizers.registry import register

if TYPE_CHECKING:
    from torch import Tensor

    from models.card import Card
    from models.fitting.volumes.task import VolumeFit, VolumeTask
    from models.localizers.registry import Localizer
    from models.networks.modules.volumes.sliced import Taps

REGIONS = "Regions are class activation maps of the whole volume's label: they show what raised the score."


def fit(task: VolumeTask) -> VolumeFit:
    """A linear head on averaged features of slices."""
    from models.fitting.volumes import linear

    return linear.fit(task, explain, REGIONS)


def explain(network: Any, taps: Taps) -> tuple[Tensor, Tensor]:
    """Logits (1, L) and maps (L, d, h, w) that they are the mean of, but for the bias."""
    return network.classify(taps), network.maps(taps)


@register(
    "volume-cam",
    maps="class activation map of the volume",
    citation="Zhou et al., CVPR 2016; AxialNet of Draelos and Carin, arXiv 2011.08891",
    kind="volume",
    tables=("network", "weights", "volume"),
    taps=True,
    deviations=False,
    code=Code("130402", "DCM", "Class activation"),
    fit_volumes=fit,
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method with the package's network; see `models.packages.load`."""
    from models.localizers.volumes.loading import linear_volume

    return linear_volume(card, data, device, threads, explain)
