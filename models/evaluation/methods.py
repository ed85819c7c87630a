"""Ways to look at images: the package, the package on other input, or a rule without a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.data.letterbox import Letterbox
from models.prediction import Model
from models.regions import Region, map_regions


@dataclass(frozen=True, slots=True, eq=False)
class MethodOutput:
    """The output of a method for one image.

    Attributes
    ----------
    probabilities
        (L,); None for a method that knows no findings.
    saliency
        (L, h, w), raw, over the whole input.
    thresholds, smallest
        (L,) region where the map reaches it; smallest region as a fraction of the image.
    """

    probabilities: NDArray[np.float64] | None
    saliency: NDArray[np.float32]
    thresholds: NDArray[np.float64]
    smallest: NDArray[np.float64]


class Method(Protocol):
    """One of them."""

    @property
    def name(self) -> str: ...

    @property
    def note(self) -> str: ...

    def predict(self, image: NDArray[np.float32], letterbox: Letterbox) -> MethodOutput:
        """Probabilities and maps of an image as `read_fitted` gives it."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class NetworkMethod:
    """The package itself, at the thresholds of its card."""

    model: Model
    name: str = "package"
    note: str = "the package as it is"

    def predict(self, image: NDArray[np.float32], letterbox: Letterbox) -> MethodOutput:
        """Predict."""
        prediction, labels = self.model.predict(image), self.model.card.labels
        return MethodOutput(
            prediction.probabilities.astype(np.float64),
            prediction.saliency,
            np.array([label.saliency_threshold for label in labels]),
            np.array([label.smallest_region_fraction for label in labels]),
        )


def output_regions(output: MethodOutput, index: int, letterbox: Letterbox, most: int) -> tuple[Region, ...]:
    """The regions of one label, the best first."""
    saliency = letterbox.to_file(output.saliency[index])
    return map_regions(saliency, float(output.thresholds[index]), float(output.smallest[index]), most)
