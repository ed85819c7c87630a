"""A loaded package: checks the input against the card, asks the localizer, calibrates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.calibration import probabilities_of
from models.card import Card
from models.data.scaling import scaled
from models.errors import InputError
from models.localizers.registry import Localized, Localizer
from models.prediction import Prediction


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """The `Model` that `packages.load` gives."""

    card: Card
    digest: str
    localizer: Localizer

    def predict(self, image: NDArray[np.float32], spacing: tuple[float, ...] | None = None) -> Prediction:
        """Predict one input; see `Model.predict`."""
        check = _check_image if self.card.input.kind == "image" else _check_volume
        check(image, spacing, self.card)
        network = self.card.network
        image = image if network is None else scaled(image, network.scaling)
        logits, saliency, zones, remarks, boxes = Localized(*self.localizer.localize(image, spacing))
        if self.card.activation == "ordinal":
            logits, saliency = _of_grades(logits), _of_grades(saliency)
        names, probabilities = tuple(label.name for label in self.card.labels), probabilities_of(self.card, logits)
        return Prediction(names, logits, probabilities, saliency, zones, remarks, boxes)


def _of_grades(of_thresholds: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same of each grade: a grade has those of its lower threshold, and the first, which has none, zeros."""
    return np.concatenate([np.zeros_like(of_thresholds[:1]), of_thresholds])


def _check_image(image: NDArray[np.float32], spacing: tuple[float, ...] | None, card: Card) -> None:
    if image.shape != card.input.shape:
        planes = "planes, rows and columns" if card.input.planes > 1 else "rows and columns"
        raise InputError(f"{card.name} takes images of {card.input.shape} {planes}, not {image.shape}.")
    check_intensities(image, card)


def check_intensities(image: NDArray[np.float32], card: Card) -> None:
    """InputError where an image has others than 0..1."""
    low, high = float(image.min()), float(image.max())
    if not (-1e-3 <= low <= high <= 1 + 1e-3):  # false for NaN, too
        raise InputError(f"{card.name} takes intensities of 0 (black) to 1 (white); these are {low:g} to {high:g}.")


def _check_volume(volume: NDArray[np.float32], spacing: tuple[float, ...] | None, card: Card) -> None:
    least = (card.input.smallest_slices, *card.input.smallest_rows_columns)
    if volume.ndim != 3 or any(n < m for n, m in zip(volume.shape, least, strict=True)):
        raise InputError(f"{card.name} takes volumes of at least {least} slices, rows, columns, not {volume.shape}.")
    if spacing is None or len(spacing) != 3 or not all(np.isfinite(spacing)) or min(spacing) <= 0:
        raise InputError(f"{card.name} needs the spacing (z, y, x) of the volume in mm, not {spacing}.")
    if volume.dtype.kind == "f" and not all(np.isfinite(one).all() for one in volume):
        raise InputError(f"{card.name} takes Hounsfield units; this volume has values that are no numbers.")
