"""The lungs of an image by a package: for a crop, an alignment, a territory, and for what is no chest at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import PackageError
from models.packages import CARD, find, load

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

    def __call__(self, image: NDArray[np.float32]) -> SegmentedImage:
        """The lungs of an image (rows, columns) of any size.

        Intensities are 0 (black, air) to 1 (white, bone), the patient's left is on the image's right.

        Raises
        ------
        InputError
            The intensities are others.
        """
        from models.data.images import fitted  # noqa: PLC0415 (numpy)
        from models.loaded import check_intensities, scaled  # noqa: PLC0415

        card = self.model.card
        assert card.input.size is not None and card.network is not None
        check_intensities(image, card)
        whole, letterbox = fitted(image, card.input.size)
        return SegmentedImage(self.localizer.segment(scaled(whole, card.network.scaling)), letterbox)


def load_segmenter(
    package: str | Path, folders: Sequence[Path] = (), device: str = "cpu", threads: int | None = None
) -> Segmenter:
    """The package of that name or in that folder; see `models.packages.load`.

    Raises
    ------
    PackageError
        There is none, it is not whole, or it finds no lungs.
    """
    from models.loaded import LoadedModel  # noqa: PLC0415 (numpy)
    from models.localizers.lungs import LungLocalizer  # noqa: PLC0415

    path = Path(package)
    model = load(path if (path / CARD).is_file() else find(str(package), folders), device, threads)
    if not (isinstance(model, LoadedModel) and isinstance(model.localizer, LungLocalizer)):
        raise PackageError(f'{package} finds no lungs: its card\'s localizer must be "lungs".')
    return Segmenter(model, model.localizer)
