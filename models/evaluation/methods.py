"""Ways to look at images: the package, the package on other input, or a rule without a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.data.letterbox import Letterbox
from models.errors import DataError, InputError
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
        (L,) region where the map reaches it, on this image; smallest region as a fraction of the image.
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
        """Predict; what the package does not analyse has probability 0, and no region."""
        labels = self.model.card.labels
        try:
            prediction = self.model.predict(image)
        except InputError:
            none = np.zeros(len(labels))
            return MethodOutput(none, np.zeros((len(labels), 1, 1), np.float32), np.full(len(labels), np.inf), none)
        peaks = [float(one.max()) for one in prediction.saliency]
        return MethodOutput(
            prediction.probabilities.astype(np.float64),
            prediction.saliency,
            np.array([label.region_threshold(peak) for label, peak in zip(labels, peaks, strict=True)]),
            np.array([label.smallest_region_fraction for label in labels]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class OtherPackage:
    """Another package with the labels of the one that is measured, in their order."""

    network: NetworkMethod
    order: tuple[int, ...]
    name: str
    note: str = "another package on the same images"

    @classmethod
    def of(cls, model: Model, labels: Sequence[str]) -> OtherPackage:
        """DataError where the other package does not have all labels, or sees volumes."""
        card = model.card
        names = [label.name for label in card.labels]
        missing = [label for label in labels if label not in names]
        if missing or card.input.size is None:
            why = f"it has no label {', '.join(missing)}" if missing else "it sees volumes"
            raise DataError(f"{card.name} {card.version} cannot be compared: {why}.")
        return cls(NetworkMethod(model), tuple(names.index(label) for label in labels), f"{card.name} {card.version}")

    def predict(self, image: NDArray[np.float32], letterbox: Letterbox) -> MethodOutput:
        """Predict, in the order of the measured package's labels."""
        output, order = self.network.predict(image, letterbox), list(self.order)
        assert output.probabilities is not None
        return MethodOutput(
            output.probabilities[order], output.saliency[order], output.thresholds[order], output.smallest[order]
        )


def output_regions(output: MethodOutput, index: int, letterbox: Letterbox, most: int) -> tuple[Region, ...]:
    """The regions of one label, the best first."""
    saliency = letterbox.to_file(output.saliency[index])
    return map_regions(saliency, float(output.thresholds[index]), float(output.smallest[index]), most)
