"""The lungs in a radiograph's own pixels: where a region lies in them, and whether a finding fills them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.anatomy.zones import THIRDS, ZONES, between
from models.regions import Mask
from workers.findings.location import Location
from workers.inputs.grid import Grid

DIFFUSE = 0.7  # of a lung: what covers more is no focus. Of 134 images with boxes of opacity 8 have such regions
DIFFUSE_IN = ("lungs", "pleura")  # territories of the labels that can be diffuse in the lungs
CENTRAL = ("heart", "mediastinum")  # territories between the lungs; the lungs' masks reach behind the heart
_BETWEEN = 1 + len(ZONES)
_COARSE = 256  # pixels a side of the map in which the nearest lung is looked for
_WORDS = {
    (True, True, True): "both lungs",
    (False, True, True): "both lungs",
    (True, True, False): "right lung",
    (True, False, True): "left lung",
    (False, True, False): "lung in the picture's left",
    (False, False, True): "lung in the picture's right",
}
"""By whether the patient's sides are known, and whether the right and the left lung are filled."""


@dataclass(frozen=True, slots=True, eq=False)
class LungZones:
    """The zones of the lungs.

    Attributes
    ----------
    numbers
        (rows, columns) as stored: 0, or 1 + index in `models.anatomy.zones.ZONES`, or `_BETWEEN` the lungs.
    of_patient
        Whether the image's orientation names the patient's sides; else right is only the image's left.
    """

    numbers: NDArray[np.uint8]
    of_patient: bool

    @classmethod
    def of(cls, zones: NDArray[np.uint8], grid: Grid, *, of_patient: bool) -> Self:
        """Of a prediction's zones, which cover the network's input."""
        right, left = (zones >= 1) & (zones <= THIRDS), zones > THIRDS
        numbers = np.where((zones == 0) & between(right, left), np.uint8(_BETWEEN), zones)
        return cls(grid.numbers_to_source(numbers), of_patient)

    def location(self, mask: Mask) -> Location:
        """Side and zone of the lung that holds most of a region, else of the nearest; central where most is between."""
        counts = np.bincount(self.numbers[mask], minlength=_BETWEEN + 1)
        if 2 * counts[_BETWEEN] > counts.sum():
            return Location("central")
        sides = counts[1:_BETWEEN].reshape(2, THIRDS)
        if not sides.any():
            return _named(self._nearest(mask))
        side = int(sides.sum(axis=1).argmax())
        return _named(1 + side * THIRDS + int(sides[side].argmax()))

    def diffuse(self, inside: Mask) -> str:
        """The lungs that a finding fills, a key of the table of phrases; empty where it has a focus."""
        found = np.bincount(self.numbers[inside], minlength=_BETWEEN)[1:_BETWEEN].reshape(2, THIRDS).sum(axis=1)
        areas = np.bincount(self.numbers.ravel(), minlength=_BETWEEN)[1:_BETWEEN].reshape(2, THIRDS).sum(axis=1)
        right, left = (bool(each) for each in found > DIFFUSE * areas)
        return _WORDS.get((self.of_patient, right, left), "")

    def _nearest(self, mask: Mask) -> int:
        """The number of the zone that is nearest to a region's centre."""
        step = max(max(mask.shape) // _COARSE, 1)
        coarse = self.numbers[::step, ::step]
        pixels = np.argwhere((coarse > 0) & (coarse < _BETWEEN))
        away = ((pixels * step - np.argwhere(mask).mean(axis=0)) ** 2).sum(axis=1)
        row, column = pixels[away.argmin()]
        return int(coarse[row, column])


def _named(number: int) -> Location:
    side, zone = ZONES[number - 1].split()
    return Location(side, zone)
