"""Boxes that a detector itself gives, one image at a time.

The network returns rows (N, 6): x0, y0, x1, y1 in pixels of its input (the first edge is 0), the score 0..1, and the
index of the label. `models.networks.modules.boxes` makes them of boxes (N, 4) with scores (N,) and labels (N,), as
detectors of torchvision return them, or with scores (N, labels).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.errors import PackageError
from models.localizers.base import OnNetwork, on_device, on_the_device
from models.localizers.registry import Localized, register
from models.networks.registry import NETWORKS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.card import Boxes, Card
    from models.localizers.registry import Localizer

LEAST = 1e-6  # score of a label without a box


@register(
    "boxes",
    maps="score of the boxes that hold a pixel",
    citation="the network's own boxes",
    tables=("network", "weights", "boxes"),
    deviations=False,
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The detector of the card."""
    from models.networks.modules.storage import filled

    assert card.network is not None and card.boxes is not None
    network = NETWORKS.get(card.network.backbone).build(card.network, len(card.labels))
    return BoxLocalizer(on_device(filled(network, data), device, threads), card, card.boxes)


class BoxLocalizer(OnNetwork):
    """The best score of each label, its boxes, and maps of their scores."""

    def __init__(self, network: Any, card: Card, how: Boxes) -> None:
        assert card.network is not None
        super().__init__(network, card.network.mean, card.network.std, card.network.channels)
        self.detector, self.how, self.labels = network, how, len(card.labels)

    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """Logits (L,), maps (L, rows, columns), 0 outside the boxes, and the boxes; PackageError: they are none."""
        import numpy as np

        with on_the_device(self.network):
            rows = self.detector(self.prepared(image))[0].float().cpu().numpy()
        found = boxes_of(rows, self.labels, self.how, (image.shape[0], image.shape[1]))
        best = np.array([np.clip(one[0, 4], LEAST, 1 - LEAST) if len(one) else LEAST for one in found], np.float64)
        maps = np.stack([painted(one, (image.shape[0], image.shape[1])) for one in found])
        return Localized(np.log(best / (1 - best)).astype(np.float32), maps, boxes=found)


def boxes_of(
    rows: NDArray[np.float32], labels: int, how: Boxes, size: tuple[int, int]
) -> tuple[NDArray[np.float32], ...]:
    """For each label its boxes (n, 5) within the input, the highest score first.

    Raises
    ------
    PackageError
        Rows (N, 6) are no boxes with scores of 0..1.
    """
    import numpy as np

    if (
        rows.ndim != 2
        or rows.shape[1] != 6
        or not np.isfinite(rows).all()
        or ((rows[:, 4] < 0) | (rows[:, 4] > 1)).any()
    ):
        raise PackageError("The network returns boxes or scores that are no numbers, or scores that are not 0..1.")
    found = []
    for label in range(labels):
        own = rows[rows[:, 5] == label + how.first_label][:, :5].copy()
        own[:, [0, 2]] = own[:, [0, 2]].clip(0, size[1])
        own[:, [1, 3]] = own[:, [1, 3]].clip(0, size[0])
        own = own[(own[:, 2] > own[:, 0]) & (own[:, 3] > own[:, 1])]
        own = own[np.argsort(-own[:, 4], kind="stable")]
        found.append(own[_kept(own, how.suppression, how.most)])
    return tuple(found)


def painted(boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """(rows, columns): the highest score of the boxes that hold a pixel's centre."""
    import numpy as np

    found = np.zeros(size, np.float32)
    for x0, y0, x1, y1, score in boxes[::-1]:
        found[round(y0) : round(y1), round(x0) : round(x1)] = score
    return found


def _kept(boxes: NDArray[np.float32], suppression: float, most: int) -> list[int]:
    """Greedy non-maximum suppression of boxes, the highest score first."""
    from models.metrics.boxes import overlap

    kept = list[int]()
    rectangles = [(float(x0), float(y0), float(x1 - x0), float(y1 - y0)) for x0, y0, x1, y1, _ in boxes]
    for index, one in enumerate(rectangles):
        if all(overlap(one, rectangles[other]) <= suppression for other in kept):
            kept.append(index)
        if len(kept) == most:
            break
    return kept
