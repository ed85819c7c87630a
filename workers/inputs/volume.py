"""CT slices as one volume in Hounsfield units, and the way of a volume's map back to the slices as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from workers.dicom.attributes import header, numbers
from workers.dicom.geometry import drop_invalid
from workers.inputs.decoding.decoder import Decoder, Stored
from workers.inputs.grid import stretch
from workers.inputs.pixels import padded, require_monochrome
from workers.inputs.stack import Floats, Stack, VolumeError, stack

if TYPE_CHECKING:
    from models.card import Input

__all__ = ["SourceVolume", "VolumeError", "load_volume"]

AIR = -1024.0  # HU outside of what was reconstructed; LIDC-IDRI-0001 has -2048 there, no padding by its header
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class SourceVolume:
    """A stack of slices. Axes are (slice, row, column); slices are sorted along the normal, pixels are as stored."""

    headers: tuple[Dataset, ...]  # one a slice, no Pixel Data, in the array's order
    array: NDArray[np.float32]  # (slices, rows, columns), HU
    spacing: tuple[float, float, float]  # mm between slices, rows, columns
    direction: Floats  # (3, 3): row i is the LPS unit vector along which axis i of the array grows
    origin: tuple[float, float, float]  # LPS mm, centre of array[0, 0, 0]
    left_out: tuple[tuple[str, str], ...] = ()  # (SOP Instance UID, reason)

    def to_model(self) -> tuple[NDArray[np.float32], tuple[float, float, float]]:
        """The array with axes towards z, y, x of the patient (the nearest ones where oblique), and the spacing so.

        LPS: slices towards the head, rows towards the back, columns towards the patient's left.
        """
        order, flips = axis_order(self.direction)
        z, y, x = (self.spacing[axis] for axis in order)
        return np.ascontiguousarray(self.array.transpose(order)[flips]), (z, y, x)

    def to_source(self, values: NDArray[Number]) -> NDArray[Number]:
        """A mask or map in the model's axes, in this array's axes and shape: the exact inverse of `to_model`.

        A map of another shape that covers the same volume is interpolated linearly (pixel-centre convention).
        """
        order, flips = axis_order(self.direction)
        depth, height, width = (self.array.shape[axis] for axis in order)
        if values.shape != (depth, height, width):
            values = stretch(values, (depth, height, width))
        return np.ascontiguousarray(values[flips].transpose(np.argsort(order)))

    def position(self, index: Sequence[float]) -> tuple[float, float, float]:
        """The LPS position in mm of an index (slice, row, column) into `array`; whole numbers are voxel centres."""
        x, y, z = np.asarray(self.origin) + (np.asarray(index) * self.spacing) @ self.direction
        return float(x), float(y), float(z)


def load_volume(paths: Sequence[Path], decoder: Decoder, rules: Input | None = None) -> SourceVolume:
    """Sort, check, decode and rescale the slices of a series.

    Raises
    ------
    VolumeError
        They are no regular stack, or none within the rules; the sentence has the reason and the place in mm.
    DecodeError
        By the decoder.
    """
    files = {id(one): (one, path) for one, path in ((drop_invalid(header(path)), path) for path in paths)}
    found = stack([one for one, _ in files.values()], rules)
    for one in found.headers:
        require_monochrome(one)
        if "SliceThickness" not in one:  # results must say one
            one.SliceThickness = f"{found.spacing[0]:.4f}"
    array = np.empty((len(found.headers), int(found.headers[0].Rows), int(found.headers[0].Columns)), dtype=np.float32)
    in_order = [files[id(one)][1] for one in found.headers]
    for index, stored in enumerate(decoder.decode_many(in_order)):
        array[index] = hounsfield(stored, found.headers[index])
    return _source(found, array)


def hounsfield(stored: Stored, dataset: Dataset) -> NDArray[np.float32]:
    """Stored values of one CT slice to HU, by its own slope and intercept; padding is AIR, nothing is below."""
    slope, intercept = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    if slope is None or intercept is None or not slope[0]:
        raise VolumeError("a slice has no Rescale Slope and Intercept, so its values are no Hounsfield units")
    values: NDArray[np.float32] = stored.astype(np.float32) * np.float32(slope[0]) + np.float32(intercept[0])
    if "PixelPaddingValue" in dataset:
        values[padded(stored, dataset)] = AIR
    np.maximum(values, AIR, out=values)
    return values


def axis_order(direction: Floats) -> tuple[tuple[int, int, int], tuple[slice, slice, slice]]:
    """(which array axis runs along z, y, x; slices that flip the permuted axes which run against them)."""
    along = np.asarray(direction)[:, ::-1]  # (array axis, patient's axis z, y, x)
    z, y, x = max(permutations(range(3)), key=lambda order: sum(abs(along[axis, i]) for i, axis in enumerate(order)))
    steps = (slice(None, None, -1 if along[axis, i] < 0 else 1) for i, axis in enumerate((z, y, x)))
    first, second, third = steps
    return (z, y, x), (first, second, third)


def _source(found: Stack, array: NDArray[np.float32]) -> SourceVolume:
    return SourceVolume(found.headers, array, found.spacing, found.direction, found.origin, found.left_out)
