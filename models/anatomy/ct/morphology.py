"""Distances in mm to masks of volumes, and what is made of them."""

from __future__ import annotations

import math

import SimpleITK as sitk


def distance(mask: sitk.Image) -> sitk.Image:
    """Signed distance to the mask's border in mm, negative inside."""
    return sitk.SignedMaurerDistanceMap(mask, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)


def closed(mask: sitk.Image, radius: float) -> sitk.Image:
    """The mask closed by a ball of `radius` mm: nodules at the pleura and vessels lie inside."""
    return distance(distance(mask) > radius) > radius


def box_of(mask: sitk.Image, label: int = 1) -> tuple[int, ...]:
    """Bounding box of a label as SimpleITK gives it: x, y, z of its start and of its size."""
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.ComputePerimeterOff()
    shape.Execute(mask)
    box: tuple[int, ...] = shape.GetBoundingBox(label)
    return box


def widened(box: tuple[int, ...], image: sitk.Image, margin: float) -> tuple[slice, slice, slice]:
    """Slices x, y, z of a bounding box with a margin in mm, as far as the image goes."""
    steps = [math.ceil(margin / step) + 1 for step in image.GetSpacing()]
    x, y, z = (
        slice(max(0, box[axis] - steps[axis]), min(image.GetSize()[axis], box[axis] + box[axis + 3] + steps[axis]))
        for axis in range(3)
    )
    return x, y, z
