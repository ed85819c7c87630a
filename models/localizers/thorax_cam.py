"""Class activation maps of the thorax, where it differs from normal ones: evidence that is seen at its place.

The image is cropped to the lungs (`models.anatomy.crop`). A map is the positive part of the exact class activation map
(Zhou et al., CVPR 2016), times how much brighter or darker than normal chests this one is there
(`models.anatomy.residual`), within the territory of the finding, smoothed (`models.anatomy.evidence`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from models.card import Code
from models.errors import InputError, PackageError
from models.localizers.base import on_network
from models.localizers.cam import CamLocalizer
from models.localizers.registry import Localized, register

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.anatomy.crop import Crop
    from models.anatomy.lungs import Lungs, Segment
    from models.card import Card
    from models.fitting.task import Fit, Task
    from models.localizers.registry import Graph, Localizer
    from models.networks.modules.thorax import ThoraxNetwork

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
    """The method with the package's network, still without lungs; see `models.packages.load`."""
    from models.networks.modules.thorax import ThoraxNetwork

    assert card.network is not None
    network = ThoraxNetwork(card.network.taps, len(card.labels))
    return ThoraxLocalizer(on_network(CamLocalizer, network, card, data, device, threads), network, card)


class ThoraxLocalizer:
    """The protocol `Localizer`: lungs, crop, network, evidence.

    Parameters
    ----------
    inner
        Class activation maps of `network` on crops.
    segment
        Finds the lungs.
    """

    def __init__(self, inner: Localizer, network: ThoraxNetwork, card: Card, segment: Segment | None = None) -> None:
        self.inner, self.network, self.card, self.segment = inner, network, card, segment

    def with_lungs(self, segment: Segment) -> ThoraxLocalizer:
        """See `OfLungs`."""
        return ThoraxLocalizer(self.inner, self.network, self.card, segment)

    def localize(self, image: Floats, spacing: tuple[float, ...] | None) -> Localized:
        """Logits (L,), maps (L, MAP_CELLS, MAP_CELLS), zones and remarks; InputError where no lungs are seen."""
        from models.anatomy.evidence import Seen, evidence
        from models.anatomy.remarks import measures, remarks

        criteria = tuple((label.territory, label.differs) for label in self.card.labels)
        lungs, crop, taken = self.cropped(image)
        logits, maps, *_ = self.inner.localize(taken, None)
        seen = Seen.of(crop, taken, lungs, {name for name, _ in criteria})
        found = evidence(maps, seen, self.network.normal.cpu().numpy(), criteria)
        return Localized(logits, crop.put(found, MAP_CELLS), lungs.zones, remarks(measures(image, lungs)))

    def cropped(self, image: Floats) -> tuple[Lungs, Crop, Floats]:
        """The lungs of an image, the square around them, and what the network sees of it; InputError without lungs."""
        from models.anatomy.crop import Crop

        assert self.segment is not None and self.card.anatomy is not None
        lungs = self.segment(image)
        if not lungs.plausible:
            raise InputError(lungs.reason)
        crop = Crop.of(lungs)
        return lungs, crop, crop.take(image, self.card.anatomy.crop)

    def graph(self, card: Card) -> Graph:
        """The network from the crop on; see `models.localizers.registry.Exportable`."""
        from models.anatomy.crop import BRIGHTEST, DARKEST, LOWER, MARGIN

        assert card.anatomy is not None and card.network is not None
        if card.network.scaling != "none":
            raise PackageError(f'{card.name} scales images before they are cropped: only scaling = "none" is exported.')
        size = card.anatomy.crop
        given = (
            f"The crop (1, 1, {size}, {size}) of a frontal chest radiograph, 0 to 1: the square around both lungs,"
            f" which the package {card.anatomy.package} finds (exported by itself); side {MARGIN} times the longer side"
            f" of their box, centre {LOWER} of the side below theirs, black outside of the image; inside, percentile"
            f" {DARKEST:g} becomes 0 and {BRIGHTEST:g} becomes 1 (models/anatomy/crop.py)."
        )
        left = (
            "The maps are class activation maps of the crop. The node keeps their positive part, times how much the"
            " chest differs there from normal ones, within the territory of the finding (models/anatomy/evidence.py)."
        )
        inner: Any = self.inner
        whole = card.model_copy(update={"input": card.input.model_copy(update={"size": (size, size)})})
        found: Graph = inner.graph(whole)
        return replace(found, given=given, left=left, inputs=lambda x, _: self.cropped(x)[2][None, None])
