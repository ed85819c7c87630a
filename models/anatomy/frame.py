"""The thorax of an image: a frame around the lungs, for a crop and for an alignment."""

from __future__ import annotations

from dataclasses import dataclass

from models.regions import Mask, bounds

# Parts of the lungs' width and height that are added: chest wall at the sides, supraclavicular fossae above, the
# costophrenic recess and free air under the diaphragm below.
SIDE, ABOVE, BELOW = 0.08, 0.08, 0.18


@dataclass(frozen=True, slots=True)
class Frame:
    """A rectangle in parts of the map, 0..1: top and left edge of its first pixel are 0, bottom and right edge 1."""

    top: float
    left: float
    bottom: float
    right: float

    def pixels(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """The rows and columns of an array of that shape that it holds, in whole pixels; at least one of each."""
        rows, columns = shape
        return _whole(self.top, self.bottom, rows), _whole(self.left, self.right, columns)


def frame_of(lungs: Mask) -> Frame:
    """The lungs' bounding box with its margins, cut at the map's border; the whole map where there are none."""
    if not lungs.any():
        return Frame(0.0, 0.0, 1.0, 1.0)
    rows, columns = bounds(lungs)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    return Frame(
        max((rows.start - ABOVE * height) / lungs.shape[0], 0.0),
        max((columns.start - SIDE * width) / lungs.shape[1], 0.0),
        min((rows.stop + BELOW * height) / lungs.shape[0], 1.0),
        min((columns.stop + SIDE * width) / lungs.shape[1], 1.0),
    )


def _whole(low: float, high: float, count: int) -> slice:
    first = min(round(low * count), count - 1)
    return slice(first, max(round(high * count), first + 1))
