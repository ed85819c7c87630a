"""The lungs in a radiograph's own pixels: where a region lies in them, and whether a finding fills them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from models.anatomy.zones import THIRDS, ZONES, between
from models.regions import Mask
from workers.findings.boxed import BoxedMask
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


class Zones(Protocol):
    """Where regions lie in the lungs of an image or a volume."""

    @property
    def of_patient(self) -> bool:
        """Whether the patient's sides are known."""
        ...

    def location(self, mask: BoxedMask) -> Location:
        """Side and zone of the lung that holds most of a region; central where most is between the lungs."""
        ...

    def diffuse(self, inside: BoxedMask) -> str:
        """The lungs that a finding fills, a key of the table of phrases; empty where it has a focus."""
        ...


def counted(numbers: NDArray[np.uint8]) -> tuple[NDArray[np.intp], int]:
    """Of numbers of zones: how many there are of each, (right and left, upper to lower), and how many between."""
    counts = np.bincount(numbers.ravel(), minlength=_BETWEEN + 1)
    return counts[1:_BETWEEN].reshape(2, THIRDS), int(counts[_BETWEEN])


def filled(found: NDArray[np.intp], all_: NDArray[np.intp], *, of_patient: bool) -> str:
    """The lungs of which more than `DIFFUSE` was found, by counts of `counted`, as a key of the table of phrases."""
    right, left = (bool(each) for each in found.sum(axis=1) > DIFFUSE * all_.sum(axis=1))
    return _WORDS.get((of_patient, right, left), "")


def zone_of(sides: NDArray[np.intp]) -> Location:
    """The zone that holds most, of the lung that holds most."""
    side = int(sides.sum(axis=1).argmax())
    return named(1 + side * THIRDS + int(sides[side].argmax()))


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

    def location(self, mask: BoxedMask) -> Location:
        """Side and zone of the lung that holds most of a region, else of the nearest; central where most is between."""
        sides, amid = counted(self.numbers[mask.box][mask.inside])
        if 2 * amid > mask.size:
            return Location("central")
        return zone_of(sides) if sides.any() else named(self._nearest(mask.whole))

    def diffuse(self, inside: BoxedMask) -> str:
        """The lungs that a finding fills, a key of the table of phrases; empty where it has a focus."""
        found, every = (counted(one)[0] for one in (self.numbers[inside.box][inside.inside], self.numbers))
        return filled(found, every, of_patient=self.of_patient)

    def _nearest(self, mask: Mask) -> int:
        """The number of the zone that is nearest to a region's centre."""
        step = max(max(mask.shape) // _COARSE, 1)
        coarse = self.numbers[::step, ::step]
        pixels = np.argwhere((coarse > 0) & (coarse < _BETWEEN))
        away = ((pixels * step - np.argwhere(mask).mean(axis=0)) ** 2).sum(axis=1)
        row, column = pixels[away.argmin()]
        return int(coarse[row, column])


def named(number: int) -> Location:
    """The location that a number of a zone stands for."""
    side, zone = ZONES[number - 1].split()
    return Location(side, zone)
