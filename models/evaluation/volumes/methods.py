"""What is measured on volumes: a package, or any function of a volume that gives logits and maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.calibration import calibrated
from models.card import Label
from models.data.volumes.maps import on_grid
from models.data.volumes.volume import Volume
from models.errors import InputError
from models.prediction import Model

Located = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Logits (L,) and raw saliency (L, d, h, w) over the whole volume, on any grid."""
Locate = Callable[[Volume], Located]

AIR_HU = np.float32(-1024.0)
NOTHING = -30.0  # the logit of what a package does not analyse


@dataclass(frozen=True, slots=True, eq=False)
class VolumeMethod:
    """One way to look at volumes.

    Attributes
    ----------
    name
        In the tables; two methods of one evaluation have two.
    labels
        Of its logits and maps, in their order.
    locate
        The function itself. InputError of it counts as absent: no probability, no place.
    rules
        The card's labels with their thresholds, in the same order; empty for a method without any, which then has no
        decisions and no regions.
    """

    name: str
    labels: tuple[str, ...]
    locate: Locate
    rules: tuple[Label, ...] = ()
    note: str = ""

    @classmethod
    def of(cls, model: Model, name: str = "package") -> VolumeMethod:
        """The package itself, at the thresholds of its card."""

        least = (model.card.input.smallest_slices, *model.card.input.smallest_rows_columns)

        def locate(volume: Volume) -> Located:
            padded, inner = in_air(volume.array, least)
            prediction = model.predict(padded, volume.spacing)
            if padded is volume.array:
                return prediction.logits, prediction.saliency
            return prediction.logits, np.stack([on_grid(one, padded.shape)[inner] for one in prediction.saliency])

        labels = model.card.labels
        note = f"volumes of fewer than {least} slices, rows, columns are put into air up to that size"
        return cls(name, tuple(label.name for label in labels), locate, labels, note)

    def rule(self, label: str) -> Label | None:
        """The card's row of a label."""
        return self.rules[self.labels.index(label)] if self.rules else None

    def __call__(self, volume: Volume) -> tuple[NDArray[np.float32], NDArray[np.float32], bool]:
        """Logits, maps, and whether the volume was analysed at all."""
        try:
            logits, saliency = self.locate(volume)
        except InputError:
            count = len(self.labels)
            return np.full(count, NOTHING, np.float32), np.zeros((count, 1, 1, 1), np.float32), False
        return logits, saliency, True

    def present(self, logits: NDArray[np.float64]) -> NDArray[np.bool_] | None:
        """Which labels (N, L) reach the card's operating point; None without rules."""
        if not self.rules:
            return None
        slopes = [rule.calibration for rule in self.rules]
        points = np.array([rule.operating_point for rule in self.rules])
        present: NDArray[np.bool_] = calibrated(logits.astype(np.float32), slopes) >= points
        return present


def in_air(array: NDArray[np.float32], least: tuple[int, ...]) -> tuple[NDArray[np.float32], tuple[slice, ...]]:
    """A volume (d, h, w) with air around it where it is smaller than `least`, and where in that it lies."""
    missing = [max(0, want - have) for want, have in zip(least, array.shape, strict=True)]
    inner = tuple(slice(more // 2, more // 2 + have) for more, have in zip(missing, array.shape, strict=True))
    if not any(missing):
        return array, inner
    widths = [(more // 2, more - more // 2) for more in missing]
    return np.pad(array, widths, constant_values=AIR_HU), inner
