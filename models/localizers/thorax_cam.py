"""Class activation maps of the thorax, where it differs from normal ones: evidence that is seen at its place.

The image is cropped to the lungs (`models.anatomy.crop`). A map is the positive part of the exact class activation map
(Zhou et al., CVPR 2016), times how much brighter or darker than normal chests this one is there
(`models.anatomy.residual`), within the territory of the finding, smoothed (`models.anatomy.evidence`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.card import Code
from models.errors import InputError, PackageError
from models.localizers.base import on_network
from models.localizers.cam import CamLocalizer
from models.localizers.registry import Localized, register

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.card import Card
    from models.fitting.task import Fit, Task
    from models.localizers.registry import Localizer
    from models.networks.modules.thorax import ThoraxNetwork
    from models.segmenter import Segmenter

    Floats = NDArray[np.float32]

MAP_CELLS = 64  # a side of the maps, which cover the input


def fit(task: Task) -> Fit:
    """A linear head on zones of aligned crops, by ridge regression on soft targets."""
    from models.fitting.thorax import fitting

    return fitting.fit(task)


@register(
    "thorax-cam",
    maps="class activation map times difference from normal chests",
    citation="Zhou et al., CVPR 2016; Baur et al., Medical Image Analysis 69 (2021)",
    tables=("network", "weights", "anatomy"),
    taps=True,
    deviations=False,
    code=Code("130402", "DCM", "Class activation"),
    fit=fit,
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The method with the package's network and the lungs' package; see `models.packages.load`.

    Raises
    ------
    PackageError
        The lungs' package is not the one that the card was measured with.
    """
    from models.networks.modules.thorax import ThoraxNetwork
    from models.segmenter import load_segmenter

    assert card.network is not None and card.anatomy is not None
    network = ThoraxNetwork(card.network.taps, len(card.labels))
    inner = on_network(CamLocalizer, network, card, data, device, threads)
    segmenter = load_segmenter(card.anatomy.package, device=device, threads=threads)
    if segmenter.sha256 != card.anatomy.sha256:
        raise PackageError(
            f"{card.name} was measured with weights of {card.anatomy.package} whose SHA-256 is"
            f" {card.anatomy.sha256[:12]}…; here it is {segmenter.sha256[:12]}…. Copy both packages again."
        )
    return ThoraxLocalizer(network, inner, segmenter, card)


class ThoraxLocalizer:
    """The protocol `Localizer`: lungs, crop, network, evidence.

    Parameters
    ----------
    inner
        Class activation maps of `network` on crops.
    """

    def __init__(self, network: ThoraxNetwork, inner: Localizer, segmenter: Segmenter, card: Card) -> None:
        assert card.anatomy is not None
        self.network, self.inner, self.segmenter = network, inner, segmenter
        self.size = card.anatomy.crop
        self.expected = tuple((label.territory, label.differs) for label in card.labels)

    def localize(self, image: Floats, spacing: tuple[float, ...] | None) -> Localized:
        """Logits (L,), maps (L, MAP_CELLS, MAP_CELLS), zones and remarks; InputError where no lungs are seen."""
        from models.anatomy.crop import Crop
        from models.anatomy.evidence import Seen, evidence
        from models.anatomy.remarks import measures, remarks

        lungs = self.segmenter(image).lungs
        if not lungs.plausible:
            raise InputError(lungs.reason)
        crop = Crop.of(lungs)
        taken = crop.take(image, self.size)
        logits, maps, *_ = self.inner.localize(taken, None)
        seen = Seen.of(crop, taken, lungs, {name for name, _ in self.expected})
        found = evidence(maps, seen, self.network.normal.cpu().numpy(), self.expected)
        return Localized(logits, crop.put(found, MAP_CELLS), lungs.zones, remarks(measures(image, lungs)))
