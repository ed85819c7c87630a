"""Where an image file lies in a network's input: fitted with its aspect kept, centred, black around or cropped.

Coordinates are continuous, the top left corner of the top left pixel is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Letterbox:
    """A file of `file` (rows, columns) fills `rows` x `columns` of an input of `size`, from (`top`, `left`) on.

    Of a file that is cropped the two are below 0, and it is larger than the input.
    """

    file: tuple[int, int]
    size: tuple[int, int]
    rows: int
    columns: int
    top: int
    left: int

    @classmethod
    def fit(cls, file: tuple[int, int], size: tuple[int, int], crop: float = 0.0) -> Letterbox:
        """The largest centred fit, in whole pixels; or as `crop` of `models.card.Input` has it, where it is not 0."""
        scales = size[0] / file[0], size[1] / file[1]
        scale = max(scales) / crop if crop else min(scales)
        rows, columns = max(1, round(file[0] * scale)), max(1, round(file[1] * scale))
        return cls(file, size, rows, columns, (size[0] - rows) // 2, (size[1] - columns) // 2)

    @property
    def content(self) -> tuple[slice, slice]:
        """The rows and columns of the input that the file fills."""
        rows, columns = self.seen
        top, left = max(self.top, 0), max(self.left, 0)
        return slice(top, top + rows.stop - rows.start), slice(left, left + columns.stop - columns.start)

    @property
    def seen(self) -> tuple[slice, slice]:
        """The rows and columns of the resampled file that lie in the input: all where it is not cropped."""
        top, left = max(-self.top, 0), max(-self.left, 0)
        return slice(top, min(top + self.size[0], self.rows)), slice(left, min(left + self.size[1], self.columns))

    @property
    def per_input_pixel(self) -> tuple[float, float]:
        """Rows and columns of the file to one of the input."""
        return self.file[0] / self.rows, self.file[1] / self.columns

    def in_file(self, point: tuple[float, float]) -> tuple[float, float]:
        """A point (x, y) of the input in pixels of the file."""
        down, across = self.per_input_pixel
        return (point[0] - self.left) * across, (point[1] - self.top) * down

    def cells(self, shape: tuple[int, int]) -> tuple[tuple[float, float], tuple[float, float]]:
        """Origin and step, (row, column) each, of a map (h, w) of the input in pixels of the file.

        Cell (i, j) is centred at origin + (i + 0.5, j + 0.5) * step.
        """
        down, across = self.per_input_pixel
        step = self.size[0] / shape[0] * down, self.size[1] / shape[1] * across
        return (-self.top * down, -self.left * across), step

    def to_file(self, saliency: NDArray[np.float32]) -> NDArray[np.float32]:
        """A map (h, w) that covers the whole input, interpolated linearly at the file's pixel centres, (rows, columns).

        Cells centred in the black around take no part: the border of the content is continued instead. What was cropped
        away is minus infinity.
        """
        (top, left), (down, across) = self.cells((saliency.shape[0], saliency.shape[1]))
        lines = _along(saliency, self.file[0], top, down)
        found = np.ascontiguousarray(_along(lines.T, self.file[1], left, across).T)
        if self.seen != (slice(0, self.rows), slice(0, self.columns)):
            for axis, (part, per) in enumerate(zip(self.seen, self.per_input_pixel, strict=True)):
                centres = np.arange(self.file[axis]) + 0.5
                out = (centres < part.start * per) | (centres > part.stop * per)
                found[out if axis == 0 else (slice(None), out)] = -np.inf
        return found


def _along(cells: NDArray[np.float32], length: int, origin: float, step: float) -> NDArray[np.float32]:
    """Rows of `cells` interpolated at (0.5, 1.5 … length - 0.5), where row i lies at origin + (i + 0.5) * step."""
    centres = origin + (np.arange(len(cells)) + 0.5) * step
    inside = np.flatnonzero((centres >= 0) & (centres <= length))
    low, high = (int(inside[0]), int(inside[-1])) if inside.size else (len(cells) // 2, len(cells) // 2)
    at = np.clip((np.arange(length) + 0.5 - origin) / step - 0.5, low, high)
    first = np.minimum(np.floor(at).astype(np.intp), max(high - 1, low))
    second = np.minimum(first + 1, high)
    part = (at - first)[:, None].astype(np.float32)
    mixed: NDArray[np.float32] = (cells[first] * (1 - part) + cells[second] * part).astype(np.float32)
    return mixed
