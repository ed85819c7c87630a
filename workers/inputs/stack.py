"""Which slices make one regular stack, from their headers alone: sorted, of one kind, without gaps.

Positions are LPS millimetres of the centre of the first pixel (PS3.3 C.7.6.2.1.1). What does not belong is left out
with a reason. Of slices with a gap the largest part without one is taken, and nothing is interpolated across it; slices
that a tilted gantry stacked askew are taken as they lie. What is no regular grid then raises VolumeError: a finding at
a wrong place is worse than none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from models.data.geometry.stacking import shear_of, tilt_of
from models.errors import DataError
from node.errors import AnalysisError
from workers.dicom.attributes import number, numbers, text, words

if TYPE_CHECKING:
    from models.card import Input

Floats = NDArray[np.float64]
SAME_PLACE = 0.02  # mm: nearer slices are duplicates
HOLE = 1.5  # times the usual distance: a slice is missing
UNEVEN = 0.05  # of the usual distance; rounding in the header is forgiven up to ROUNDING
ROUNDING = 0.05  # mm
OFF_GRID = 0.06  # mm from the places of an even grid: what positions lose that are written with one decimal
MOST_SLICES = 5000  # a whole body every 0.4 mm
MOST_VOXELS = 1 << 30  # 4 GiB in memory, and as often again while a model runs
MOST_MM3 = 2e9  # two cubic metres: models resample by millimetres
SAME_ORIENTATION = 2e-3  # of a direction cosine
LEAST_PART = 0.5  # of the slices: with less than that between two gaps a series is no volume


class VolumeError(AnalysisError):
    """The slices are no volume that can be analysed; the text has the reason and the place."""


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """One header with the attributes that place it."""

    header: Dataset
    frame: tuple[str, str]  # Series Instance UID, Frame of Reference UID
    size: tuple[int, int]  # Rows, Columns
    pixel: tuple[float, float]  # mm between rows, between columns
    cosines: Floats  # (2, 3): where columns grow, where rows grow
    position: Floats  # (3,)

    @property
    def normal(self) -> Floats:
        """The direction along which slices are counted."""
        return np.cross(self.cosines[0], self.cosines[1])


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """The slices that belong together, in order along their normal."""

    headers: tuple[Dataset, ...]
    spacing: tuple[float, float, float]  # mm between slices, rows, columns
    direction: Floats  # (3, 3): row i is the LPS vector that one mm along slices, rows, columns leads; see `tilt`
    origin: tuple[float, float, float]  # of the first pixel of the first slice
    left_out: tuple[tuple[str, str], ...]  # (SOP Instance UID, reason)
    notes: tuple[str, ...] = ()  # what was decided about the slices, in sentences

    @property
    def tilt(self) -> float:
        """Degrees between the way from slice to slice and the slices' normal: `direction[0]` has both in it."""
        return tilt_of(self.direction[0])


def stack(headers: Sequence[Dataset], rules: Input | None = None) -> Stack:
    """The one stack in the headers of a series; VolumeError where there is none, or none within the rules."""
    left_out: list[tuple[str, str]] = []
    slices = _alike(_placed(headers, left_out), left_out)
    slices = _without_duplicates(slices, left_out)
    smallest = max(2, rules.smallest_slices if rules else 2)
    if len(slices) < smallest:
        reasons = "".join(f", {count} left out ({why})" for why, count in Counter(why for _, why in left_out).items())
        raise VolumeError(f"only {len(slices)} slices, at least {smallest} are needed{reasons}")
    _require_bounded(slices, float(distances(slices).sum()))
    notes: list[str] = []
    slices = _regular_part(slices, smallest, left_out, notes)
    aside = _aside(slices)
    spacing = float(distances(slices).mean())
    if rules and rules.slice_thickness and not _within(spacing, rules.slice_thickness):
        low, high = rules.slice_thickness
        raise VolumeError(f"slices every {spacing:.2f} mm, the model is made for {low:g} to {high:g} mm")
    first = slices[0]
    direction = np.stack([first.normal + aside, first.cosines[1], first.cosines[0]])
    x, y, z = (float(value) for value in first.position)
    used = tuple(one.header for one in slices)
    found = Stack(used, (spacing, *first.pixel), direction, (x, y, z), tuple(left_out), tuple(notes))
    tilted = f"the gantry was tilted by {found.tilt:.1f} degrees: the slices were resampled for the model"
    return replace(found, notes=(*found.notes, tilted)) if aside.any() else found


def placed(header: Dataset) -> Slice | None:
    """The slice with its place, or None where an attribute is missing or cannot be true."""
    cosines, position = numbers(header, "ImageOrientationPatient", 6), numbers(header, "ImagePositionPatient", 3)
    pixel, size = numbers(header, "PixelSpacing", 2), (number(header, "Rows", 0), number(header, "Columns", 0))
    if cosines is None or position is None or pixel is None or min(pixel) <= 1e-3 or min(size) < 1:
        return None
    axes = np.array(cosines).reshape(2, 3)
    if not np.allclose(axes @ axes.T, np.eye(2), atol=1e-2):
        return None
    axes[0] /= np.linalg.norm(axes[0])
    axes[1] -= axes[0] * (axes[0] @ axes[1])
    axes[1] /= np.linalg.norm(axes[1])
    frame = (text(header, "SeriesInstanceUID"), text(header, "FrameOfReferenceUID"))
    return Slice(header, frame, (int(size[0]), int(size[1])), (pixel[0], pixel[1]), axes, np.array(position))


def distances(slices: Sequence[Slice]) -> Floats:
    """Millimetres between neighbours along the first slice's normal."""
    return np.diff([one.position @ slices[0].normal for one in slices])


def where(slice_: Slice) -> str:
    """The place of a slice on the patient's axis nearest to its normal, such as "z = -125.0 mm"."""
    axis = int(np.argmax(np.abs(slice_.normal)))
    return f"{'xyz'[axis]} = {slice_.position[axis]:.1f} mm"


def _placed(headers: Sequence[Dataset], left_out: list[tuple[str, str]]) -> list[Slice]:
    slices = []
    for header in headers:
        found = placed(header)
        if "LOCALIZER" in words(header, "ImageType"):
            left_out.append((_uid(header), "localizer"))
        elif found is None:
            left_out.append((_uid(header), "no valid position, orientation or Pixel Spacing"))
        else:
            slices.append(found)
    return slices


def _alike(slices: list[Slice], left_out: list[tuple[str, str]]) -> list[Slice]:
    """Those that share series, frame, size, pixels and orientation with most."""
    if not slices:
        return []
    keys = [(one.frame, one.size, one.pixel, tuple(np.round(one.cosines, 2).ravel() + 0.0)) for one in slices]
    usual = slices[keys.index(Counter(keys).most_common(1)[0][0])]
    reasons = [(one, _difference(one, usual)) for one in slices]
    left_out.extend((_uid(one.header), reason) for one, reason in reasons if reason)
    return [one for one, reason in reasons if not reason]


def _difference(one: Slice, usual: Slice) -> str | None:
    if one.frame != usual.frame:
        return "of another series or Frame of Reference"
    if not np.allclose(one.cosines, usual.cosines, atol=SAME_ORIENTATION):
        return "other orientation than most slices"
    if one.size != usual.size:
        return "other Rows or Columns than most slices"
    return None if np.allclose(one.pixel, usual.pixel, rtol=1e-3) else "other Pixel Spacing than most slices"


def _without_duplicates(slices: list[Slice], left_out: list[tuple[str, str]]) -> list[Slice]:
    """Sorted along the normal; of slices at the same place the one with the lowest Instance Number."""
    kept: list[Slice] = []
    for one in sorted(slices, key=lambda one: float(one.position @ slices[0].normal)):
        if kept and distances([kept[-1], one])[0] < SAME_PLACE:
            first, second = sorted((kept[-1], one), key=lambda one: number(one.header, "InstanceNumber", np.inf))
            kept[-1] = first
            left_out.append((_uid(second.header), f"duplicate of another slice at {where(second)}"))
        else:
            kept.append(one)
    return kept


def _require_bounded(slices: Sequence[Slice], depth: float) -> None:
    """VolumeError where it would take more memory and time than a study may; nothing is decoded yet."""
    (rows, columns), (row_spacing, column_spacing) = slices[0].size, slices[0].pixel
    size = f"{len(slices)} slices of {rows} x {columns} pixels"
    if len(slices) > MOST_SLICES:
        raise VolumeError(f"the volume is too large: {size}, at most {MOST_SLICES} slices are analysed")
    if len(slices) * rows * columns > MOST_VOXELS:
        raise VolumeError(f"the volume is too large: {size}, at most {MOST_VOXELS} voxels are analysed")
    if depth * rows * row_spacing * columns * column_spacing > MOST_MM3:
        metres = " x ".join(f"{mm / 1000:.1f}" for mm in (depth, rows * row_spacing, columns * column_spacing))
        raise VolumeError(f"the volume is too large: {metres} m, its positions or Pixel Spacing cannot be true")


def _regular_part(slices: list[Slice], smallest: int, left_out: list[tuple[str, str]], notes: list[str]) -> list[Slice]:
    """All slices where they lie evenly, else the largest part between gaps that does; VolumeError where it is small."""
    gaps = distances(slices)
    usual = float(np.median(gaps))
    reason = _irregular(slices, gaps, usual)
    if not reason:
        return slices
    ends = [0, *(np.flatnonzero(gaps > HOLE * usual) + 1).tolist(), len(slices)]
    begin, end = max(pairwise(ends), key=lambda part: part[1] - part[0])
    part, others = slices[begin:end], slices[:begin] + slices[end:]
    if len(part) < max(smallest, LEAST_PART * len(slices)) or _irregular(part, distances(part), usual):
        raise VolumeError(reason)
    left_out.extend((_uid(one.header), f"it lies beyond a gap: {reason}") for one in others)
    ends_at = f"from {where(part[0])} to {where(part[-1])}"
    notes.append(f"{reason}: analysed were the {len(part)} slices {ends_at}, and {len(others)} were not")
    return part


def _irregular(slices: Sequence[Slice], gaps: Floats, usual: float) -> str:
    """Why the slices do not lie evenly; empty where they do."""
    widest, worst = int(np.argmax(gaps)), int(np.argmax(np.abs(gaps - usual)))
    if gaps[widest] > HOLE * usual:
        between = f"between {where(slices[widest])} and {where(slices[widest + 1])}"
        return f"slices are missing {between}: {gaps[widest]:.2f} mm apart where {usual:.2f} mm is usual"
    if abs(gaps[worst] - usual) > max(UNEVEN * usual, ROUNDING) and _off_grid(gaps) > OFF_GRID:
        between = f"between {where(slices[worst])} and {where(slices[worst + 1])}"
        return f"uneven slice spacing {between}: {gaps[worst]:.2f} mm where {usual:.2f} mm is usual"
    return ""


def _off_grid(gaps: Floats) -> float:
    """How far the slice that lies worst is from its place in the evenly spaced stack that fits best, in mm."""
    positions = np.concatenate([[0.0], np.cumsum(gaps)])
    index = np.arange(len(positions))
    return float(np.abs(positions - np.polyval(np.polyfit(index, positions, 1), index)).max())


def _aside(slices: Sequence[Slice]) -> Floats:
    """`shear_of` these slices; VolumeError where one lies elsewhere."""
    positions = np.array([one.position for one in slices])
    try:
        return shear_of(positions, slices[0].normal, max(slices[0].pixel), lambda index: where(slices[index]))
    except DataError as error:
        raise VolumeError(str(error)) from error


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] * (1 - UNEVEN) <= value <= limits[1] * (1 + UNEVEN)


def _uid(header: Dataset) -> str:
    return str(header.get("SOPInstanceUID", ""))
