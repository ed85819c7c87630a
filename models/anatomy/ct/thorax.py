"""Where a finding of the chest can be on CT slices: a coarse map of a network reaches into chest wall and air."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import convex_hull_image

from models.regions import Mask

TISSUE_HU = -300.0
SKIN_MM = 8.0  # nothing that is looked for lies so near to the surface
COARSE_MM = 3.0
AIR_HU = -400.0
EVERY_MM = 6.0  # of the slices whose lungs make the outline of the thorax
LEAST = 0.02  # of the slice that aerated lung must cover somewhere, or nothing is known of the thorax
ANYWHERE = "anywhere"  # a territory that is no part of a thorax
OF_TISSUE = ("heart", "mediastinum")  # territories in which aerated lung is no part of a finding


def possible(planes: NDArray[Any], box: tuple[slice, ...], spacing: Sequence[float], territory: str) -> Mask:
    """Where in a box a finding of this territory can be; see `inside_thorax`."""
    inside = inside_thorax(planes, box, spacing)
    return inside & (planes[box] > TISSUE_HU) if territory in OF_TISSUE else inside


def inside_thorax(planes: NDArray[Any], box: tuple[slice, ...], spacing: Sequence[float]) -> Mask:
    """The body within the outline of all lungs together, of the planes and the part of them that a box holds.

    Fluid and collapse hide a lung on some planes and not on all, so that one outline, the convex hull of what is air
    inside the body on any plane, holds for all. Where no lung is aerated the body without its skin is returned.

    Parameters
    ----------
    planes
        HU of the whole volume (planes, rows, columns).
    spacing
        (plane, row, column) mm.
    """
    steps = [max(1, round(COARSE_MM / step)) for step in spacing[1:]]
    coarse = [step * count for step, count in zip(spacing[1:], steps, strict=True)]
    sampled = planes[:, :: steps[0], :: steps[1]]
    outline = _outline(sampled[:: max(1, round(EVERY_MM / spacing[0]))], coarse)
    found = np.stack([_inner(plane, coarse) & outline for plane in sampled[box[0]]])
    inside: Mask = found.repeat(steps[0], 1).repeat(steps[1], 2)[:, box[1], box[2]]
    return inside


def _outline(planes: NDArray[Any], spacing: Sequence[float]) -> Mask:
    air = np.zeros(planes.shape[1:], np.bool_)
    for plane in planes:
        air |= ndimage.binary_opening(_inner(plane, spacing) & (plane < AIR_HU), iterations=2)  # no bowel, no folds
    if air.mean() < LEAST:
        return np.ones(air.shape, np.bool_)
    hull: Mask = convex_hull_image(air)
    return hull


def _inner(plane: NDArray[Any], spacing: Sequence[float]) -> Mask:
    parts, count = ndimage.label(plane > TISSUE_HU)
    if not count:
        return np.zeros(plane.shape, np.bool_)
    largest = 1 + int(np.bincount(parts.ravel())[1:].argmax())
    framed = np.pad(ndimage.binary_fill_holes(parts == largest), 1)  # what is cut off by the image's border ends there
    inner: Mask = ndimage.distance_transform_edt(framed, sampling=spacing)[1:-1, 1:-1] > SKIN_MM
    return inner
