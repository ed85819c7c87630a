"""Places that are found without looking for a lesion: by chance in the body or the lungs, the centre, the lungs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.data.volumes.volume import Volume
from models.evaluation.volumes.lesions import NEAR_MM, Lesions
from models.evaluation.volumes.records import TOP_SLICES, Hits
from models.metrics.masks import dice

IN_BODY = "a random voxel of the body"
IN_LUNGS = "a random voxel of the lungs"
CENTRE = "the centre of the volume"
LUNG_MEAN = "the lungs themselves"
BASELINES = (IN_BODY, IN_LUNGS, CENTRE, LUNG_MEAN)
NOTES = {
    IN_BODY: "its figures are the parts of the body's voxels that hit",
    IN_LUNGS: "its figures are the parts of the lungs' voxels that hit",
    LUNG_MEAN: "a map that is 1 in the lungs and 0 elsewhere: its place is the lungs' centroid, its region the lungs",
}
BODY_HU = -300.0
BODY_STEP_MM = 4.0  # the body is looked for on a grid so coarse

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class BlindSpot:
    """One baseline on one volume with lesions; `dice` where it has a region and the lesions a mask."""

    row: int
    hits: Hits
    dice: float | None = None


@dataclass(slots=True, eq=False)
class Blind:
    """All baselines on all volumes so far: by label, then by baseline."""

    spots: dict[str, dict[str, list[BlindSpot]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def add(self, row: int, volume: Volume, lungs: Mask | None, lesions: dict[str, Lesions | None]) -> None:
        """Record one volume; without lungs what needs them is left out."""
        there = {label: found for label, found in lesions.items() if found is not None}
        if not there:
            return
        inside = body(volume)
        middle = tuple(length // 2 for length in volume.array.shape)
        for label, found in there.items():
            kept = self.spots[label]
            kept[IN_BODY].append(BlindSpot(row, _by_chance(inside, found)))
            kept[CENTRE].append(BlindSpot(row, _at(middle, found)))
            if lungs is not None and lungs.any():
                kept[IN_LUNGS].append(BlindSpot(row, _by_chance(lungs, found)))
                overlap = None if found.outlined.is_box else dice(lungs, found.mask)
                kept[LUNG_MEAN].append(BlindSpot(row, _at(_centroid(lungs), found), overlap))


def body(volume: Volume) -> Mask:
    """The largest dense part of a volume (d, h, w) with what its slices hold inside; all of it where none is dense."""
    steps = [max(1, round(BODY_STEP_MM / step)) for step in volume.spacing]
    coarse = volume.array[:: steps[0], :: steps[1], :: steps[2]]
    parts, count = ndimage.label(coarse > BODY_HU)
    if not count:
        return np.ones(volume.array.shape, np.bool_)
    largest = parts == int(np.bincount(parts.ravel())[1:].argmax()) + 1
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in largest])
    for axis, (step, length) in enumerate(zip(steps, volume.array.shape, strict=True)):
        filled = filled.take(np.arange(length) // step, axis=axis)
    return filled


def _by_chance(region: Mask, lesions: Lesions) -> Hits:
    """The parts of a region's voxels that lie in a slice of the lesions, in one, or near one."""
    total = int(region.sum())
    if not total:
        return Hits((0.0,) * len(TOP_SLICES), 0.0, 0.0)
    slices = float(region[lesions.slices()].sum()) / total
    cut = region[lesions.box]
    inside = int((cut & lesions.mask[lesions.box]).sum()) / total
    near = int((cut & (lesions.distance <= NEAR_MM)).sum()) / total
    return Hits((slices,) * len(TOP_SLICES), inside, near)


def _at(place: tuple[int, ...], lesions: Lesions) -> Hits:
    z, y, x = place
    away = lesions.away((z, y, x))
    return Hits((float(lesions.slices()[z]),) * len(TOP_SLICES), float(away == 0), float(away <= NEAR_MM))


def _centroid(mask: Mask) -> tuple[int, ...]:
    """The voxel at the mean of a mask's voxels."""
    sums = (mask.sum(axis=tuple(other for other in range(3) if other != axis)) for axis in range(3))
    return tuple(round(float(np.average(np.arange(len(line)), weights=line))) for line in sums)
