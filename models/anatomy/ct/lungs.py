"""The two lungs of a chest CT: by a network where what it finds is plausible, else as the air inside the body.

Maps and masks are (d, h, w) on a working grid that covers the volume; the patient's right lung lies at low columns
(`models.prediction.Model.predict`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from models.anatomy.ct.air import air_lungs
from models.anatomy.ct.morphology import closed, distance
from models.anatomy.parts import LUNG, right_and_left
from models.anatomy.zones import zones_of
from models.errors import InputError
from models.regions import Mask

NETWORK_MM = 4.0  # of the grid on which lungs are looked for
AIR_THRESHOLD_HU = -400.0
BODY_HU = -300.0
WALL = 0.2  # of the deepest column: thinner ones are an arm or the table
CLOSING_MM = 8.0  # of the air: vessels and small consolidations count as lung
EROSION_MM = 30.0  # over which the depth inside the air falls from 1 to one half: lungs that touch are parted by it
SMALLEST_ML = 150.0  # of each lung
SMALLER_LUNG = 0.12  # of the larger one's volume
CONFIDENCE = 0.8  # mean probability of the lungs' voxels
IN_LUNGS = 0.3  # part of a space of air that the network calls lung, or it is bowel
RIM_MM = 6.0  # half the thickness of what holds no air and is lung all the same
MISSED_AIR = 0.25  # part of the air inside the body that may lie outside of the network's lungs: the trachea, bowel


@dataclass(frozen=True, slots=True, eq=False)
class VolumeLungs:
    """The lungs of one volume.

    Attributes
    ----------
    right, left
        Masks (d, h, w) of the patient's right and left lung on the working grid.
    spacing
        (z, y, x) mm of that grid.
    method
        "network", or "air" where nothing that was learned finds them: then what holds no air is missing.
    reason
        Why the network's lungs were not taken, as a clause; empty where they were.
    """

    right: Mask
    left: Mask
    spacing: tuple[float, float, float]
    method: Literal["network", "air"]
    reason: str = ""

    @property
    def both(self) -> Mask:
        """The mask of the two together."""
        return self.right | self.left

    @property
    def zones(self) -> NDArray[np.uint8]:
        """(d, h, w): 0 outside, else 1 + index in `models.anatomy.zones.ZONES`; see `zones_of_volume`."""
        return zones_of_volume(self.right, self.left)


SegmentVolume = Callable[[NDArray[np.float32], tuple[float, float, float]], VolumeLungs]
"""The lungs of a volume (d, h, w) in HU with its spacing; InputError where it shows none."""


def zones_of_volume(right: Mask, left: Mask) -> NDArray[np.uint8]:
    """A map (d, h, w), slices towards the head: 0 outside the lungs, else 1 + index in `ZONES`.

    Upper, middle and lower zone are thirds of each lung's own height. They are no lobes.
    """
    flat = (one[::-1].reshape(len(one), -1) for one in (right, left))
    return zones_of(*flat).reshape(right.shape)[::-1]


def lungs_of_air(working: sitk.Image, reason: str = "") -> VolumeLungs:
    """The lungs as air, on the working grid's own cells; InputError where there is no large space of air."""
    right, left = _by_body(*sides_of(closed(air_lungs(working, AIR_THRESHOLD_HU), CLOSING_MM)), working)
    return VolumeLungs(right, left, _spacing(working), "air", reason)


def sides_of(lungs: sitk.Image) -> tuple[Mask, Mask]:
    """Masks (d, h, w) of the right and the left lung of a mask of both, which may touch."""
    depth = np.maximum(-sitk.GetArrayFromImage(distance(lungs)), 0.0)
    inside = sitk.GetArrayViewFromImage(lungs) > 0
    return right_and_left(np.where(inside, np.clip(LUNG + depth / EROSION_MM, LUNG, 1.0), 0.0).astype(np.float32))


def lungs_of_maps(probabilities: NDArray[np.float32], working: sitk.Image) -> VolumeLungs:
    """The lungs of a network's probabilities (2, d, h, w), right and left; those of the air where they are none.

    Air inside the body is lung, and the network says of which side, and what holds no air is lung as well: but for thin
    rims of it around the air, which are rather wall than lung.

    Raises
    ------
    InputError
        Neither the network nor the air shows lungs.
    """
    right, left = (_largest(_own(probabilities, side)) for side in (0, 1))
    reason = _objection(probabilities, right, left, working)
    if reason:
        return lungs_of_air(working, reason)
    air = _air(right | left, working)
    if air is not None:
        both = air | _thick((right | left) & ~air, working)
        right, left = (_largest(one) for one in _by_nearest(both, right, left, working))
    return VolumeLungs(*_by_body(right, left, working), _spacing(working), "network")


def _by_body(right: Mask, left: Mask, working: sitk.Image) -> tuple[Mask, Mask]:
    """Two parts on one side of the body's middle are the one lung of that side: the other is full, or not there."""
    tissue = (sitk.GetArrayViewFromImage(working) > BODY_HU).any(axis=0).sum(axis=0)  # rows of each column
    columns = np.flatnonzero(tissue > WALL * tissue.max(initial=0))
    if not (right.any() and left.any() and columns.size):
        return right, left
    middle = (columns[0] + columns[-1]) / 2
    centres = [float(np.nonzero(one)[2].mean()) for one in (right, left)]
    none = np.zeros_like(right)
    if min(centres) > middle:
        return none, right | left
    return (right | left, none) if max(centres) < middle else (right, left)


def _air(lungs: Mask, working: sitk.Image) -> Mask | None:
    """The parts of the air inside the body that lie in a network's lungs, with the vessels in them; None without."""
    try:
        parts = sitk.GetArrayFromImage(sitk.ConnectedComponent(air_lungs(working, AIR_THRESHOLD_HU)))
    except InputError:
        return None
    sizes = np.bincount(parts.ravel())
    inside = np.bincount(parts[lungs], minlength=len(sizes))
    kept = inside >= IN_LUNGS * sizes
    kept[0] = False
    mask = sitk.GetImageFromArray(kept[parts].astype(np.uint8))
    mask.CopyInformation(working)
    found: Mask = sitk.GetArrayFromImage(closed(mask, CLOSING_MM)) > 0
    return found


def _thick(mask: Mask, working: sitk.Image) -> Mask:
    """The mask opened by a ball of `RIM_MM`."""
    if not mask.any():
        return mask
    image = sitk.GetImageFromArray((~mask).astype(np.uint8))
    image.CopyInformation(working)
    cores = distance(image) > RIM_MM
    near = distance(cores) <= RIM_MM if sitk.GetArrayViewFromImage(cores).any() else cores
    found: Mask = (sitk.GetArrayFromImage(near) > 0) & mask
    return found


def _by_nearest(both: Mask, right: Mask, left: Mask, working: sitk.Image) -> tuple[Mask, Mask]:
    """Each voxel of a mask belongs to the side whose lung, as the network saw it, is nearer."""
    away = []
    for one in (right, left):
        image = sitk.GetImageFromArray(one.astype(np.uint8))
        image.CopyInformation(working)
        away.append(sitk.GetArrayFromImage(distance(image)))
    is_right: Mask = away[0] <= away[1]
    return both & is_right, both & ~is_right


def drawn_in_volume(volume: NDArray[np.float32], spacing: tuple[float, float, float]) -> VolumeLungs:
    """Two blocks side by side, whatever the volume shows: a `SegmentVolume` to try what follows the lungs."""
    right, left = np.zeros(volume.shape, np.bool_), np.zeros(volume.shape, np.bool_)
    third, half = (count // part for count, part in zip(volume.shape[1:], (4, 2), strict=True))
    right[:, third:-third, 2 : half - 2] = True
    left[:, third:-third, half + 2 : -2] = True
    return VolumeLungs(right, left, spacing, "network")


def _own(probabilities: NDArray[np.float32], side: int) -> Mask:
    own: Mask = (probabilities[side] >= LUNG) & (probabilities[side] >= probabilities[1 - side])
    return own


def _largest(mask: Mask) -> Mask:
    """The largest part of a mask, with its holes filled."""
    if not mask.any():
        return mask
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8))))
    found: Mask = sitk.GetArrayFromImage(sitk.BinaryFillhole(parts == 1)).astype(np.bool_)
    return found


def _objection(probabilities: NDArray[np.float32], right: Mask, left: Mask, working: sitk.Image) -> str:
    """Why these are no lungs, as a clause; empty where they may be."""
    voxel_ml = math.prod(working.GetSpacing()) / 1000.0
    smaller, larger = sorted(float(one.sum()) * voxel_ml for one in (right, left))
    if smaller < max(SMALLEST_ML, SMALLER_LUNG * larger):
        return f"a lung of {smaller:.0f} ml beside one of {larger:.0f} ml"
    confidence = float(probabilities.max(axis=0)[right | left].mean())
    if confidence < CONFIDENCE:
        return f"lungs with a mean probability of {100 * confidence:.0f} %"
    return _missed_air(right | left, working)


def _missed_air(both: Mask, working: sitk.Image) -> str:
    try:
        air = sitk.GetArrayFromImage(air_lungs(working, AIR_THRESHOLD_HU)) > 0
    except InputError:  # lungs without air, filled by fluid
        return ""
    missed = float((air & ~both).sum() / air.sum())
    return f"{100 * missed:.0f} % of the air inside the body lies outside of them" if missed > MISSED_AIR else ""


def _spacing(working: sitk.Image) -> tuple[float, float, float]:
    x, y, z = working.GetSpacing()
    return z, y, x
