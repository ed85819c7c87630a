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

AIR_THRESHOLD_HU = -400.0
CLOSING_MM = 8.0  # of the air: vessels and small consolidations count as lung
EROSION_MM = 30.0  # over which the depth inside the air falls from 1 to one half: lungs that touch are parted by it
SMALLEST_ML = 150.0  # of each lung
SMALLER_LUNG = 0.12  # of the larger one's volume
CONFIDENCE = 0.8  # mean probability of the lungs' voxels
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
    air = closed(air_lungs(working, AIR_THRESHOLD_HU), CLOSING_MM)
    depth = np.maximum(-sitk.GetArrayFromImage(distance(air)), 0.0)
    pseudo = np.where(sitk.GetArrayViewFromImage(air) > 0, np.clip(LUNG + depth / EROSION_MM, LUNG, 1.0), 0.0)
    right, left = right_and_left(pseudo.astype(np.float32))
    return VolumeLungs(right, left, _spacing(working), "air", reason)


def lungs_of_maps(probabilities: NDArray[np.float32], working: sitk.Image) -> VolumeLungs:
    """The lungs of a network's probabilities (2, d, h, w), right and left; those of the air where they are none.

    Raises
    ------
    InputError
        Neither the network nor the air shows lungs.
    """
    right, left = (_largest(_own(probabilities, side)) for side in (0, 1))
    reason = _objection(probabilities, right, left, working)
    if reason:
        return lungs_of_air(working, reason)
    return VolumeLungs(right, left, _spacing(working), "network")


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
