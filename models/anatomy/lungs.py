"""The two lungs of a probability map, and what follows from their masks.

Maps and masks are (rows, columns) and cover the network's input. The patient's right lung lies on the image's left,
as in every input of a model (`models.prediction.Model.predict`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.anatomy.frame import Frame, frame_of
from models.anatomy.parts import right_and_left
from models.anatomy.plausibility import objection
from models.anatomy.zones import zones_of
from models.regions import Mask


@dataclass(frozen=True, slots=True, eq=False)
class Lungs:
    """The lungs of one image.

    Attributes
    ----------
    probability
        (rows, columns), 0..1: that a pixel is lung, the part behind the heart included.
    right, left
        Masks of the patient's right and left lung; empty where it is not seen.
    zones
        (rows, columns) uint8: 0 outside the lungs, else 1 + index in `ZONES`.
    frame
        The thorax, for a crop or an alignment; the whole map where no lung is seen.
    reason
        Why these are no lungs of a frontal chest radiograph, as a clause; empty where they are.
    """

    probability: NDArray[np.float32]
    right: Mask
    left: Mask
    zones: NDArray[np.uint8]
    frame: Frame
    reason: str

    @property
    def plausible(self) -> bool:
        """Whether the image shows lungs as a frontal chest radiograph does."""
        return not self.reason

    @property
    def both(self) -> Mask:
        """The mask of the two together."""
        return self.right | self.left


def lungs_of(probability: NDArray[np.float32]) -> Lungs:
    """The lungs of a map (rows, columns) of 0..1."""
    right, left = right_and_left(probability)
    reason = objection(probability, right, left)
    return Lungs(probability, right, left, zones_of(right, left), frame_of(right | left), reason)


def drawn(image: NDArray[np.float32]) -> Lungs:
    """Two upright blocks side by side, whatever the image shows: a `Segment` to try what follows the lungs."""
    probability = np.zeros(image.shape, np.float32)
    rows, columns = (side // 8 for side in image.shape)
    for left in (columns, 5 * columns):
        probability[rows : 7 * rows, left : left + 2 * columns] = 1.0
    return lungs_of(probability)


Segment = Callable[[NDArray[np.float32]], Lungs]
"""The lungs of an image (rows, columns) of 0..1; their maps cover the image, letterboxed with black to a square."""
