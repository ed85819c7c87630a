"""Nodules of LIDC-IDRI as its readers outlined them, whatever file they are in.

Armato et al., The Lung Image Database Consortium (LIDC) and Image Database Resource Initiative (IDRI), Medical Physics
38 (2011): up to four readers outline each nodule of 3 mm or more and rate it; smaller nodules and what is no nodule
have a point. A contour runs through the first pixels outside of the nodule, so its own pixels are not in the mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.data.volumes.volume import Volume
from models.errors import DataError

CHARACTERISTICS = (
    "subtlety", "internalStructure", "calcification", "sphericity", "margin", "lobulation", "spiculation", "texture",
    "malignancy",
)  # fmt: skip
OFF_SLICE = 0.25  # of the distance of slices
AXIAL = 1e-3  # of a direction cosine

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Contour:
    """One outline on one slice.

    Attributes
    ----------
    z
        Image position in mm, LPS.
    inclusion
        Whether its inside belongs to the nodule, or is left out of it.
    points
        (column, row) of the instance's pixels, from 0.
    """

    z: float
    sop_instance_uid: str
    inclusion: bool
    points: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Marking:
    """A nodule of 3 mm or more as one reader outlined it; ratings by name of `CHARACTERISTICS`, 1 to 5 or 6."""

    reader: int
    name: str
    ratings: Mapping[str, int]
    contours: tuple[Contour, ...]

    def mask(self, volume: Volume) -> Mask:
        """(d, h, w) of the volume, whose file must be axial; DataError where a contour does not lie in it."""
        mask = np.zeros(volume.array.shape, np.bool_)
        for wanted in (True, False):
            for contour in (one for one in self.contours if one.inclusion is wanted):
                index = _slice(contour, volume)
                inside = _inside(contour, volume.array.shape[1:])
                mask[index] = np.where(inside, wanted, mask[index])
        return mask


@dataclass(frozen=True, slots=True)
class Point:
    """A nodule under 3 mm, or something that is no nodule: one place of one reader."""

    reader: int
    name: str
    z: float
    sop_instance_uid: str
    at: tuple[int, int]
    """(column, row)"""


@dataclass(frozen=True, slots=True, eq=False)
class Nodule:
    """The markings of one nodule with their masks (d, h, w) of the same volume."""

    markings: tuple[Marking, ...]
    masks: tuple[Mask, ...]

    def consensus(self, least: int) -> Mask:
        """What at least so many readers took for nodule."""
        readers = {marking.reader for marking in self.markings}
        each = [
            np.any(
                [mask for mark, mask in zip(self.markings, self.masks, strict=True) if mark.reader == reader], axis=0
            )
            for reader in readers
        ]
        return np.asarray(np.sum(each, axis=0, dtype=np.uint8) >= least)

    def rating(self, name: str) -> float:
        """Mean of the readers' ratings; not a number where none rated."""
        given = [marking.ratings[name] for marking in self.markings if name in marking.ratings]
        return float(np.mean(given)) if given else float("nan")


@dataclass(frozen=True, slots=True)
class Readings:
    """All that the readers of one series marked."""

    series: str
    readers: int
    markings: tuple[Marking, ...]
    small: tuple[Point, ...] = ()
    """Nodules under 3 mm."""
    non_nodules: tuple[Point, ...] = field(default=())

    def nodules(self, volume: Volume) -> tuple[Nodule, ...]:
        """Markings of several readers that share a voxel are one nodule; those most readers agree on first."""
        masks = [marking.mask(volume) for marking in self.markings]
        groups = list[list[int]]()
        for index, mask in enumerate(masks):
            touched = [group for group in groups if any((masks[other] & mask).any() for other in group)]
            groups = [group for group in groups if group not in touched] + [[*chain(*touched), index]]
        groups.sort(key=lambda group: (-len(group), group))
        return tuple(Nodule(tuple(self.markings[i] for i in some), tuple(masks[i] for i in some)) for some in groups)


def characteristics(given: Mapping[str, object], where: str) -> dict[str, int]:
    """Those ratings that are there; DataError where one is no whole number of 1 to 6."""
    found = {}
    for name in CHARACTERISTICS:
        text = str(given.get(name, "")).strip()
        if text and (not text.isdecimal() or not 1 <= int(text) <= 6):
            raise DataError(f"{where}: {name} is {text!r}; ratings are whole numbers of 1 to 6.")
        if text:
            found[name] = int(text)
    return found


def _slice(contour: Contour, volume: Volume) -> int:
    upright = np.abs(np.array(volume.direction) - np.eye(3).ravel()).max() < AXIAL
    if volume.orientation[:2] != "LP" or not upright:
        raise DataError("Contours of LIDC are drawn on axial slices; this volume has others. Read the DICOM series.")
    place = (contour.z - volume.origin[2]) / volume.spacing[0]
    index = round(place)
    if abs(place - index) > OFF_SLICE or not 0 <= index < len(volume.array):
        raise DataError(f"A contour lies at z = {contour.z:g} mm, where the volume has no slice: is it another series?")
    return index


def _inside(contour: Contour, shape: Sequence[int]) -> Mask:
    """The pixels within an outline (rows, columns), its own pixels left out."""
    columns, rows = np.array(contour.points).T
    if min(columns.min(), rows.min()) < 0 or rows.max() >= shape[0] or columns.max() >= shape[1]:
        raise DataError(
            f"A contour at z = {contour.z:g} mm leaves the image: is the volume another series, or cropped?"
        )
    image = Image.new("L", (shape[1], shape[0]))
    if len(contour.points) > 2:
        ImageDraw.Draw(image).polygon(list(contour.points), fill=1, outline=0)
    inside: Mask = np.asarray(image) > 0
    return inside
