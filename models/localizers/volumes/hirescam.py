"""HiResCAM of a volume: gradient times activation in each cell. Draelos and Carin, arXiv 2011.08891.

For linear scores and their mean the sum over cells is the logit without its constant, and the map is the class
activation map divided by the number of cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.localizers.gradients import GRADIENT_WEIGHTED
from models.localizers.registry import register

if TYPE_CHECKING:
    from torch import Tensor

    from models.card import Card
    from models.fitting.volumes.task import VolumeFit, VolumeTask
    from models.localizers.registry import Localizer
    from models.networks.modules.volumes.sliced import Taps

REGIONS = "Regions are HiResCAM maps: what each place added to the score of the whole volume."


def fit(task: VolumeTask) -> VolumeFit:
    """A linear head on averaged features of slices."""
    from models.fitting.volumes import linear

    return linear.fit(task, explain, REGIONS)


def explain(network: Any, taps: Taps) -> tuple[Tensor, Tensor]:
    """Logits (1, L) and maps (L, d, h, w) that they are the sum of, but for the bias."""
    maps = network.maps(taps)
    return network.classify(taps), maps / maps[0].numel()


@register(
    "volume-hirescam",
    maps="HiResCAM map of the volume",
    citation="Draelos and Carin, arXiv 2011.08891, 2020",
    kind="volume",
    tables=("network", "weights", "volume"),
    taps=True,
    deviations=False,
    code=GRADIENT_WEIGHTED,
    fit_volumes=fit,
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method with the package's network; see `models.packages.load`."""
    from models.localizers.volumes.loading import linear_volume

    return linear_volume(card, data, device, threads, explain)
