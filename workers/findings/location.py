"""Regions as geometry: their outlines, and where they lie.

Coordinates of outlines are SCOORD's (PS3.3 C.18.6): (column, row), (0, 0) is the top left corner of the top left pixel,
so that pixel (r, c) is centred at (c + 0.5, r + 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from models.regions import Mask, bounds

MOST_POINTS = 4000  # GraphicData is FL, its length has 16 bits: 8191 points would be the end
CENTRAL = 0.05  # of the image's width, to each side of its middle
MIDLINE_MM = 10.0
BODY_HU = -300.0
_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # (row, column) one pixel right, down, left, up


@dataclass(frozen=True, slots=True)
class Location:
    """Where a region is, as keys of the table of phrases (`workers.findings.wording`).

    Attributes
    ----------
    across
        The patient's "right", "left", "central" or (volume) "midline"; where the patient's sides are
        unknown, the "left part", "right part" or "middle part" of the picture.
    zone
        "upper", "middle" or "lower" third, of the lung where the lungs are known; empty in a volume of which they are
        not, and between the lungs.
    of_patient
        Whether it is in the patient, or only in the picture.
    z, image
        Volume: LPS z in mm and Instance Number (of an enhanced CT the frame) of the slice where the region is largest.
    images
        Volume: the lowest and the highest of those that it reaches.
    """

    across: str
    zone: str = ""
    of_patient: bool = True
    z: float | None = None
    image: float | None = None
    images: tuple[float, float] | None = None

    @property
    def side(self) -> str | None:
        """The patient's side, None where it is the middle or unknown."""
        return self.across if self.of_patient and self.across in ("right", "left") else None


def outline(mask: Mask) -> NDArray[np.float32]:
    """Outer contour of the largest connected part of a 2-D mask.

    The contour goes clockwise (as seen) through the middles of the pixel borders, as marching squares would draw it at
    one half: it encloses half a pixel less than the part with its holes filled.

    Returns
    -------
    (points, 2), (column, row) each, the last equal to the first.

    Raises
    ------
    ValueError
        The mask is empty.
    """
    if not mask.any():
        raise ValueError("an empty mask has no outline")
    box = bounds(mask)
    points = _thinned(_without_collinear(_trace(_largest_part(mask[box]))))
    points += (box[1].start, box[0].start)
    return np.concatenate([points, points[:1]]).astype(np.float32)


def image_location(mask: Mask, orientation: Sequence[str]) -> Location:
    """Where a region lies on a radiograph, for example right and lower.

    Parameters
    ----------
    mask
        (rows, columns).
    orientation
        Patient Orientation (0020,0020): where columns and rows grow to. Where it lacks left or right, or head or
        feet, the location is in the picture only: nothing is guessed about the patient.
    """
    lines, columns = np.nonzero(mask)
    along = ((columns.mean() + 0.5) / mask.shape[1], (lines.mean() + 0.5) / mask.shape[0])
    towards = {str(word)[:1].upper(): fraction for word, fraction in zip(orientation, along, strict=False)}
    towards |= {opposite: 1 - towards[letter] for letter, opposite in ("LR", "RL", "FH", "HF") if letter in towards}
    if "L" not in towards or "F" not in towards:
        half = _in_halves(along[0], "left part", "right part", "middle part")
        return Location(half, _in_thirds(along[1]), of_patient=False)
    return Location(_in_halves(towards["L"], "right", "left", "central"), _in_thirds(towards["F"]))


def names_the_sides(orientation: Sequence[str]) -> bool:
    """Whether Patient Orientation (0020,0020) names left or right, and head or feet."""
    letters = {str(word)[:1].upper() for word in orientation}
    return bool(letters & {"L", "R"} and letters & {"H", "F"})


def volume_side(mask: Mask, body: Mask, towards_left: tuple[float, float]) -> str | None:
    """Side of the patient on which a region of a slice lies, None within 10 mm of the body's middle.

    Parameters
    ----------
    mask, body
        (rows, columns) of one slice; `body` is where it shows the patient.
    towards_left
        How far (mm) one step along (rows, columns) leads to the patient's left, LPS x.
    """
    around = body if body.any() else np.ones_like(body)
    offset = sum(
        step * (own.mean() - other.mean())
        for step, own, other in zip(towards_left, np.nonzero(mask), np.nonzero(around), strict=True)
    )
    if abs(offset) < MIDLINE_MM:
        return None
    return "left" if offset > 0 else "right"


def _in_halves(fraction: float, low: str, high: str, middle: str) -> str:
    if abs(fraction - 0.5) <= CENTRAL:
        return middle
    return low if fraction < 0.5 else high


def _in_thirds(fraction: float) -> str:
    return ("upper", "middle", "lower")[min(int(fraction * 3), 2)]


def _largest_part(mask: Mask) -> Mask:
    found = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)))
    part: Mask = sitk.GetArrayFromImage(sitk.RelabelComponent(found)) == 1
    return part


def _trace(part: Mask) -> NDArray[np.float64]:
    """Middles of the border edges of a face-connected part, in order, inside on the right hand."""
    edges = _border_edges(part)
    row, column = (int(start) for start in np.argwhere(part)[0])
    first = (row, column, 0)  # upper border of the first pixel in reading order: certainly outside
    here, points = first, []
    while True:
        row, column, heading = here
        down, right = _STEPS[heading]
        points.append((column + right / 2, row + down / 2))
        corner = (row + down, column + right)
        nexts = ((*corner, (heading + turn) % 4) for turn in (1, 0, 3))  # right first: parts that touch stay apart
        here = next(edge for edge in nexts if edge in edges)
        if here == first:
            return np.array(points, dtype=np.float64)


def _border_edges(part: Mask) -> set[tuple[int, int, int]]:
    """(row, column, heading) of the corner where each border edge starts."""
    padded = np.pad(part, 1)
    neighbours = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])  # above, right, below, left
    starts = ((0, 0), (0, 1), (1, 1), (1, 0))
    edges: set[tuple[int, int, int]] = set()
    for heading, (neighbour, (down, right)) in enumerate(zip(neighbours, starts, strict=True)):
        lines, columns = np.nonzero(part & ~neighbour)
        edges.update(
            (row + down, column + right, heading) for row, column in zip(lines.tolist(), columns.tolist(), strict=True)
        )
    return edges


def _without_collinear(points: NDArray[np.float64]) -> NDArray[np.float64]:
    kept: NDArray[np.float64] = points[_corner_areas(points) != 0]
    return kept


def _thinned(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most `MOST_POINTS`: every second point goes whose corner cuts off least, from an eighth of a pixel on."""
    tolerance = 0.125
    while len(points) > MOST_POINTS:
        keep = _corner_areas(points) > tolerance
        keep[::2] = True
        points, tolerance = points[keep], tolerance * 2
    return points


def _corner_areas(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area of the triangle of each point with its two neighbours."""
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]) / 2
