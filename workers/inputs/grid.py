"""The way between a radiograph's stored pixels and a network's input, and exactly back.

Coordinates are continuous with the top left corner of the top left pixel at 0, so pixel i is centred at i + 0.5.
Stored pixels are first turned to the standard view of a frontal radiograph (columns to the patient's left, rows to the
feet: PatientOrientation ["L", "F"], PS3.3 C.7.6.1.1.1), then scaled with their aspect kept in mm, then centred in the
input with black around (letterbox).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

STANDARD = ("L", "F")
Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the network's input lies in the source image.

    An input coordinate r is the oriented source coordinate (r - row_offset) * row_scale; columns alike. The oriented
    image is the stored one, transposed if `transpose`, then flipped.
    """

    rows: int  # of the source image, stored pixels
    columns: int
    input_rows: int
    input_columns: int
    row_scale: float  # oriented source pixels per input pixel
    column_scale: float
    row_offset: float  # input pixels above (and below) the content
    column_offset: float
    flip_rows: bool
    flip_columns: bool
    transpose: bool

    @classmethod
    def fit(
        cls,
        rows: int,
        columns: int,
        size: tuple[int, int],
        spacing: tuple[float, float] = (1.0, 1.0),
        orientation: Sequence[str] = STANDARD,
        crop: float = 0.0,
    ) -> Self:
        """Largest centred fit of rows x columns stored pixels into `size` (rows, columns).

        With `crop` this part, a side, of the largest centred rectangle of the input's shape fills the input.

        `spacing` is the distance between rows, then between columns (as in PixelSpacing): only its ratio counts.
        `orientation` is PatientOrientation; one that names no frontal view (or is missing) counts as the standard one.
        """
        transpose, flip_rows, flip_columns = to_standard(orientation)
        oriented = np.array([rows, columns], dtype=np.float64)
        distance = np.array(spacing, dtype=np.float64)
        if transpose:
            oriented, distance = oriented[::-1], distance[::-1]
        inputs = np.array(size, dtype=np.float64)
        fits = oriented * distance / inputs
        scale = float(np.min(fits) * crop if crop else np.max(fits)) / distance
        offset = (inputs - oriented / scale) / 2
        return cls(
            rows,
            columns,
            *size,
            float(scale[0]),
            float(scale[1]),
            float(offset[0]),
            float(offset[1]),
            flip_rows,
            flip_columns,
            transpose,
        )

    def to_input(self, image: NDArray[np.generic]) -> NDArray[np.float32]:
        """The image (rows, columns), turned, anti-aliased and letterboxed with 0 to (input_rows, input_columns)."""
        _expect(image, (self.rows, self.columns))
        oriented = self._turn(np.asarray(image, dtype=np.float32))
        lines = _reduction(oriented.shape[0], self.input_rows, self.row_scale, self.row_offset)
        columns = _reduction(oriented.shape[1], self.input_columns, self.column_scale, self.column_offset)
        return columns.apply(lines.apply(oriented).T).T

    def to_source(self, saliency: NDArray[np.generic]) -> NDArray[np.float32]:
        """A map (h, w) that covers the whole input, interpolated linearly at the source's pixel centres.

        The result is (rows, columns). Cells centred in the letterbox take no part: the border of the content is
        continued instead. What is not a number counts as 0.
        """
        cells = np.nan_to_num(np.asarray(saliency, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        height, width = (self.columns, self.rows) if self.transpose else (self.rows, self.columns)
        lines = _expansion(cells.shape[0], height, self.input_rows, self.row_scale, self.row_offset)
        columns = _expansion(cells.shape[1], width, self.input_columns, self.column_scale, self.column_offset)
        return self._turn_back(columns.apply(lines.apply(cells).T).T)

    def numbers_to_source(self, numbers: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A map (h, w) of numbers that covers the whole input: each source pixel has that of the cell it lies in."""
        height, width = (self.columns, self.rows) if self.transpose else (self.rows, self.columns)
        lines = _nearest(numbers.shape[0], height, self.input_rows, self.row_scale, self.row_offset)
        columns = _nearest(numbers.shape[1], width, self.input_columns, self.column_scale, self.column_offset)
        return self._turn_back(numbers[lines[:, None], columns])

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(rows, columns): the source's pixels that lie in the input."""
        height, width = (self.columns, self.rows) if self.transpose else (self.rows, self.columns)
        down = (np.arange(height) + 0.5) / self.row_scale + self.row_offset
        across = (np.arange(width) + 0.5) / self.column_scale + self.column_offset
        inside = ((down >= 0) & (down <= self.input_rows))[:, None] & (across >= 0) & (across <= self.input_columns)
        return self._turn_back(inside)

    def box_to_source(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 of the input in the source's coordinates, cut off at its borders."""
        x0, y0, x1, y1 = box
        columns = sorted((at - self.column_offset) * self.column_scale for at in (x0, x1))
        rows = sorted((at - self.row_offset) * self.row_scale for at in (y0, y1))
        height, width = (self.columns, self.rows) if self.transpose else (self.rows, self.columns)
        if self.flip_rows:
            rows = [height - at for at in rows[::-1]]
        if self.flip_columns:
            columns = [width - at for at in columns[::-1]]
        across, down = (rows, columns) if self.transpose else (columns, rows)
        x0, x1 = (min(max(at, 0.0), float(self.columns)) for at in across)
        y0, y1 = (min(max(at, 0.0), float(self.rows)) for at in down)
        return x0, y0, x1, y1

    def _turn(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        image = image.T if self.transpose else image
        return image[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def _turn_back(self, image: NDArray[Value]) -> NDArray[Value]:
        image = image[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]
        return np.ascontiguousarray(image.T if self.transpose else image)


def to_standard(orientation: Sequence[str]) -> tuple[bool, bool, bool]:
    """(transpose, flip_rows, flip_columns) from PatientOrientation to the standard view; none if it is not frontal."""
    first, second = (str(word)[:1].upper() for word in orientation) if len(orientation) == 2 else STANDARD
    transpose = first in "HF"
    across, down = (second, first) if transpose else (first, second)
    if across not in ("L", "R") or down not in ("H", "F"):
        return False, False, False
    return transpose, down == "H", across == "R"


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """One axis of a separable resampling: output i is the sum of weights[i] times the inputs from first[i] on."""

    first: NDArray[np.intp]  # (outputs,)
    weights: NDArray[np.float32]  # (outputs, taps)

    def apply(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resample axis 0 of a 2-D image."""
        image = np.ascontiguousarray(image)
        out = np.empty((len(self.first), image.shape[1]), dtype=np.float32)
        count = self.weights.shape[1]
        for index, start in enumerate(self.first):
            np.matmul(self.weights[index], image[start : start + count], out=out[index])
        return out


def taps(centres: NDArray[np.float64], half_width: float, low: int, high: int) -> Taps:
    """Triangles of `half_width` around `centres` over the pixels low..high, the border continued.

    Pixel i lies at i. The weights add up to 1 and their centre of mass is exact, so that a linear ramp stays the same.
    """
    reach = np.arange(-int(np.ceil(half_width)), int(np.ceil(half_width)) + 2)
    index = np.floor(centres)[:, None].astype(np.intp) + reach
    distance = index - centres[:, None]
    weights = np.maximum(0.0, 1 - np.abs(distance) / half_width)
    weights /= weights.sum(axis=1, keepdims=True)
    first_moment = (weights * distance).sum(axis=1, keepdims=True)
    spread = (weights * distance**2).sum(axis=1, keepdims=True) - first_moment**2
    correction = np.divide(first_moment, spread, out=np.zeros_like(spread), where=spread > 1e-9)
    weights *= 1 - correction * (distance - first_moment)
    return _collect(np.clip(index, low, high), weights, high)


def _collect(index: NDArray[np.intp], weights: NDArray[np.float64], high: int) -> Taps:
    first = np.minimum(index.min(axis=1), max(high + 1 - index.shape[1], 0))
    collected = np.zeros((len(index), int((index - first[:, None]).max()) + 1))
    np.add.at(collected, (np.arange(len(index))[:, None], index - first[:, None]), weights)
    return Taps(first, collected.astype(np.float32))


def _reduction(length: int, outputs: int, scale: float, offset: float) -> Taps:
    corners = (np.arange(outputs) + 0.5 - offset) * scale
    found = taps(np.clip(corners, 0, length) - 0.5, max(scale, 1.0), 0, length - 1)
    found.weights[(corners < 0) | (corners > length)] = 0
    return found


def _nearest(cells: int, length: int, inputs: int, scale: float, offset: float) -> NDArray[np.intp]:
    position = ((np.arange(length) + 0.5) / scale + offset) * cells / inputs
    return np.clip(position.astype(np.intp), 0, cells - 1)


def _expansion(cells: int, length: int, inputs: int, scale: float, offset: float) -> Taps:
    per_cell = inputs / cells
    centres = (np.arange(cells) + 0.5) * per_cell
    inside = np.flatnonzero((centres >= offset) & (centres <= offset + length / scale))
    low, high = (int(inside[0]), int(inside[-1])) if inside.size else (cells // 2, cells // 2)
    position = ((np.arange(length) + 0.5) / scale + offset) / per_cell - 0.5
    return taps(np.clip(position, low, high), 1.0, low, high)


def _expect(image: NDArray[np.generic], shape: tuple[int, int]) -> None:
    if image.shape != shape:
        raise ValueError(f"the grid is for an image of {shape}, not {image.shape}")
