"""The prediction of one image or volume, and the protocol of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.card import Card


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Logits, probabilities and saliency of one input, in the order of `labels`.

    Attributes
    ----------
    labels
        Names as on the card, L of them.
    logits
        (L,) raw; for a detector the logit of its best candidate's score; of ordinal grades that of this grade or a
        higher one, and 0 of the first.
    probabilities
        (L,) 0..1, calibrated by the card; for a detector the score of its best candidate.
    saliency
        (L, h, w) of an image, (L, d, h, w) of a volume. Raw scale, never min-max. It covers the network's input
        exactly: cell i is centred at (i + 0.5) * input_size / saliency_size, in input pixels whose first edge is 0.
    zones
        (h, w) of an image, (d, h, w) of a volume, covering the input as the saliency does, at any resolution: 0 outside
        the lungs, else 1 + index in `models.anatomy.zones.ZONES`. None where the package does not look for lungs.
    remarks
        What makes the input unlike the images that the package was trained on, as clauses: "low contrast".
    boxes
        Of a detector, for each label (n, 5): x0, y0, x1, y1 in pixels of the input and the score, the highest first.
        None where the package finds no boxes.
    """

    labels: tuple[str, ...]
    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    saliency: NDArray[np.float32]
    zones: NDArray[np.uint8] | None = None
    remarks: tuple[str, ...] = ()
    boxes: tuple[NDArray[np.float32], ...] | None = None


class Model(Protocol):
    """A loaded package. `digest` changes whenever its card or weights do."""

    @property
    def card(self) -> Card: ...

    @property
    def digest(self) -> str: ...

    def predict(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None = None) -> Prediction:
        """Predict one input.

        Parameters
        ----------
        image
            Kind "image": (rows, columns) = `card.input.size`, intensity 0 (black, air) .. 1 (white, bone) after the
            VOI LUT, MONOCHROME2 sense, the patient's left on the image's right. Where the card asks for colour or
            windows (planes, rows, columns) = `card.input.shape`: red, green and blue, or a plane a window.
            Kind "volume": (d, h, w) in HU, float32 or int16 (most CTs: half the memory); slices towards the head, rows
            towards the back, columns towards the patient's left (z+, y+, x+ in LPS).
        spacing
            (row, column) or (z, y, x) in mm; a volume needs it.

        Raises
        ------
        InputError
            The array is not what the card asks for.
        """
        ...
