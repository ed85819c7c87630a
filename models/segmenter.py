"""The lungs of an image by a package: for a crop, an alignment, a territory, and for what is no chest at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.anatomy.lungs import Lungs
    from models.data.letterbox import Letterbox
    from models.loaded import LoadedModel
    from models.localizers.lungs import LungLocalizer


@dataclass(frozen=True, slots=True, eq=False)
class SegmentedImage:
    """The lungs of an image, and where the image lies in their maps.

    Attributes
    ----------
    lungs
        Masks and maps of the network's input: the image letterboxed with black. Of a square image they cover it.
    letterbox
        `letterbox.to_file(map)` is a map in the image's own pixels.
    """

    lungs: Lungs
    letterbox: Letterbox


@dataclass(frozen=True, slots=True, eq=False)
class Segmenter:
    """A loaded package of lungs; `digest` changes whenever its card or weights do."""

    model: LoadedModel
    localizer: LungLocalizer

    @property
    def digest(self) -> str:
        return self.model.digest

    @property
    def sha256(self) -> str:
        """Of its weights."""
        weights = self.model.card.weights
        assert weights is not None
        return weights.sha256

    def __call__(self, image: NDArray[np.float32]) -> SegmentedImage:
        """The lungs of an image (rows, columns) of any size.

        Intensities are 0 (black, air) to 1 (white, bone), the patient's left is on the image's right.

        Raises
        ------
        InputError
            The intensities are others.
        """
        from models.data.images import fitted  # noqa: PLC0415 (numpy)
        from models.data.scaling import scaled  # noqa: PLC0415
        from models.loaded import check_intensities  # noqa: PLC0415

        card = self.model.card
        assert card.input.size is not None and card.network is not None
        check_intensities(image, card)
        whole, letterbox = fitted(image, card.input.size)
        return SegmentedImage(self.localizer.segment(scaled(whole, card.network.scaling)), letterbox)

    def lungs(self, image: NDArray[np.float32]) -> Lungs:
        """The lungs of an image, on their own grid; see `Segment`."""
        return self(image).lungs
