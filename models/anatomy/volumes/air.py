"""Where a chest lies in a volume: air inside the body, mirrored about the body's midline, with a margin."""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from models.anatomy.volumes.lattice import Box
from models.anatomy.volumes.slabs import shrunk

COARSE_MM = 3.0
ERODED = (0, 1, 2)  # voxels, until lungs are found: where they lie close to the border of a cropped volume
BODY_HU = -300.0
EDGE = 0.01  # of the body at either side: the table, an arm
SMALLEST_LUNG_MM3 = 300_000.0  # one lung after resection or effusion; bowel gas is smaller


def lung_air(working: sitk.Image, threshold: float, eroded: int = 0) -> sitk.Image | None:
    """Mask of the air below these HU that does not reach the sides of the volume, in parts as large as a lung.

    None where there is no such part: the volume shows too little of a chest. `eroded` voxels are taken off before parts
    are told apart, which cuts narrow ways from a lung to the air outside; they are not put back.
    """
    air = working < threshold
    parts = sitk.ConnectedComponent(sitk.BinaryErode(air, [eroded] * 3) if eroded else air)
    array = sitk.GetArrayViewFromImage(parts)
    sizes = np.bincount(array.ravel())
    sides = (array[:, 0], array[:, -1], array[:, :, 0], array[:, :, -1])
    sizes[np.unique(np.concatenate([side.ravel() for side in sides]))] = 0  # the air around the patient
    sizes[0] = 0
    wanted = sizes * math.prod(working.GetSpacing()) >= SMALLEST_LUNG_MM3
    if not wanted.any():
        return None
    mask = sitk.GetImageFromArray(wanted[array].astype(np.uint8))
    mask.CopyInformation(working)
    return mask


def chest_box(
    volume: NDArray[np.float32], spacing: tuple[float, ...], threshold: float, margin: float
) -> tuple[Box, bool]:
    """The box of the chest in mm from the first edge of the volume (z, y, x), and whether lungs were found.

    Lungs that are full of fluid or collapsed are no air. As long as one lung is aerated the box holds both: it is as
    wide to either side of the body's middle. Without any aerated lung the box is the whole volume.

    Parameters
    ----------
    threshold
        HU below which air inside the body is lung.
    margin
        mm around the lungs.
    """
    coarse = shrunk(volume, spacing, COARSE_MM)
    steps = coarse.GetSpacing()[::-1]
    whole = tuple((0.0, count * step) for count, step in zip(volume.shape, spacing, strict=True))
    tried = ((eroded, lung_air(coarse, threshold, eroded)) for eroded in ERODED)
    eroded, mask = next(((some, found) for some, found in tried if found is not None), (0, None))
    if mask is None:
        return (whole[0], whole[1], whole[2]), False
    lung = sitk.GetArrayViewFromImage(mask) > 0
    spans = [np.flatnonzero(lung.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    first, last = [int(one[0]) - eroded for one in spans], [int(one[-1]) + 1 + eroded for one in spans]
    body = sitk.GetArrayViewFromImage(coarse)[max(0, first[0]) : last[0]] > BODY_HU
    middle = _middle(body.sum(axis=(0, 1)))
    half = max(middle - first[2], last[2] - middle)
    low, high = (first[0], first[1], middle - half), (last[0], last[1], middle + half)
    z, y, x = (
        (max(edge, low[axis] * steps[axis] - margin), min(end, high[axis] * steps[axis] + margin))
        for axis, (edge, end) in enumerate(whole)
    )
    return (z, y, x), True


def _middle(counts: NDArray[np.int64]) -> float:
    """The middle, in cells from the first edge, between the ends of what is counted, but for a hundredth at each."""
    total = np.cumsum(counts) / max(1, int(counts.sum()))
    if not counts.any():
        return len(counts) / 2
    first, last = np.searchsorted(total, [EDGE, 1 - EDGE])
    return (float(first) + float(last) + 1) / 2
