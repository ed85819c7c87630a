"""The two lungs: maps are each pixel's probability to be lung, for either lung within that lung alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from models.errors import InputError, PackageError
from models.localizers.base import NetworkLocalizer, on_named_network
from models.localizers.registry import Localized, register

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from models.anatomy.lungs import Lungs
    from models.card import Card
    from models.fitting.lungs import MaskFit, MaskTask
    from models.localizers.registry import Graph, Localizer
    from models.regions import Mask

SIDES = ("Right_lung", "Left_lung")  # the labels of a card, in this order
SOFT_BORDER = 2.0  # pixels around a lung in which its map falls to 0


def fit_masks(task: MaskTask) -> MaskFit:
    """A U-Net of images with masks, then of its own masks, too."""
    from models.fitting import lungs

    return lungs.fit(task)


@register(
    "lungs",
    maps="lung probability",
    citation="Ronneberger et al., MICCAI 2015",
    deviations=False,
    fit_masks=fit_masks,
)
def load(card: Card, data: bytes, device: str, threads: int | None) -> Localizer:
    """The network of the card, which gives one mask; PackageError where the labels are not those of `SIDES`."""
    if tuple(label.name for label in card.labels) != SIDES:
        raise PackageError(f'{card.name}: localizer "lungs" has the labels {" and ".join(SIDES)}, in this order.')
    return on_named_network(LungLocalizer, card, data, device, threads)


class LungLocalizer(NetworkLocalizer):
    """Logits of the mean probability of each lung's pixels, and their maps."""

    def explain(self, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """The network's largest logit (N, 1), and the probabilities (N, 1, rows, columns)."""
        return self.network.classify(features), features[0].sigmoid()

    def segment(self, image: NDArray[np.float32]) -> Lungs:
        """The lungs of one checked and scaled input, plausible or not."""
        from models.anatomy.lungs import lungs_of

        return lungs_of(super().localize(image, None).saliency[0])

    def localize(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None) -> Localized:
        """Logits (2,) and maps (2, rows, columns) of the right and the left lung; InputError where none are seen."""
        import numpy as np

        lungs = self.segment(image)
        if not lungs.plausible:
            raise InputError(lungs.reason)
        confidence = np.array([lungs.probability[one].mean() for one in (lungs.right, lungs.left)])
        confidence = np.clip(confidence, 1e-6, 1.0 - 1e-6)
        maps = [_map(lungs.probability, *pair) for pair in ((lungs.right, lungs.left), (lungs.left, lungs.right))]
        return Localized(np.log(confidence / (1.0 - confidence)).astype(np.float32), np.stack(maps))

    def graph(self, card: Card) -> Graph:
        """The map of both lungs; see `models.localizers.registry.Exportable`."""
        left = (
            "Right and left lung are the two largest parts of the pixels from 0.5 on, the right one on the image's"
            " left; whether they look like lungs is checked (models/anatomy: parts, plausibility)."
        )
        outputs = {"maps": "(1, 1, rows, columns): the probability that a pixel is lung"}
        found = self.image_graph(card, lambda features: (features[0].sigmoid(),), outputs, left)

        def own(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
            return (NetworkLocalizer.localize(self, x[0, 0], None).saliency[None],)

        return replace(found, own=own)


def _map(probability: NDArray[np.float32], own: Mask, other: Mask) -> NDArray[np.float32]:
    """The probability in and just around one lung: one half or more in its mask alone, 0 elsewhere."""
    import numpy as np
    from scipy import ndimage

    near = (ndimage.distance_transform_edt(~own) <= SOFT_BORDER) & ~other
    around = np.where(near, np.minimum(probability, np.nextafter(np.float32(0.5), np.float32(0.0))), 0.0)
    return np.where(own, np.maximum(probability, 0.5), around).astype(np.float32)
