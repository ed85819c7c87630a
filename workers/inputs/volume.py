"""Slices as one volume, CT's in Hounsfield units, and the way of a volume's map back to the slices as stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from models.data.geometry.resampling import Affine, Box, box_in, sampled
from models.data.geometry.stacking import Upright, axis_order
from workers.dicom.attributes import header, numbers
from workers.dicom.evidence import changed
from workers.dicom.geometry import drop_invalid
from workers.inputs.decoding.decoder import Decoder, Stored
from workers.inputs.eligibility import modality_of
from workers.inputs.frames import frame_number, frames
from workers.inputs.pixels import modality, padded, require_monochrome
from workers.inputs.stack import Floats, VolumeError, stack

if TYPE_CHECKING:
    from models.card import Input

__all__ = ["SourceVolume", "VolumeError", "load_volume"]

AIR = -1024.0  # HU outside of what was reconstructed; LIDC-IDRI-0001 has -2048 there, no padding by its header
Hounsfield = NDArray[Any]  # of int16, or of float32 where HU are no whole numbers
DENSEST = 32767.0  # HU; what 16 bits hold
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class SourceVolume:
    """A stack of slices. Axes are (slice, row, column); slices are sorted along the normal, pixels are as stored."""

    headers: tuple[Dataset, ...]  # one a slice, no Pixel Data, in the array's order
    array: Hounsfield  # (slices, rows, columns), CT: HU; float where they are no whole numbers
    spacing: tuple[float, float, float]  # mm between slices (along their normal), rows, columns
    direction: Floats  # (3, 3): row i is the LPS vector that one mm along axis i leads; row 0 is askew where tilted
    origin: tuple[float, float, float]  # LPS mm, centre of array[0, 0, 0]
    left_out: tuple[tuple[str, str], ...] = ()  # (SOP Instance UID, reason)

    @property
    def hounsfield(self) -> bool:
        """Whether the array has Hounsfield units: of CT, and of no other modality."""
        return all(modality_of(one) == "CT" for one in self.headers[:1])

    @property
    def tilted(self) -> bool:
        """Whether a tilted gantry stacked the slices askew."""
        return float(np.linalg.norm(self.direction[0])) > 1 + 1e-9

    def to_model(self) -> tuple[Hounsfield, tuple[float, float, float]]:
        """The array with axes towards z, y, x of the patient (the nearest ones where oblique), and the spacing so.

        LPS: slices towards the head, rows towards the back, columns towards the patient's left. What a tilted gantry
        stacked is resampled onto exactly these axes; all else is a view of the array where no axis must be turned.
        """
        order, flips = axis_order(self.direction)
        z, y, x = (self.spacing[axis] for axis in order)
        if self.tilted:
            shape, way = self._model_grid
            whole = tuple(slice(0, length) for length in shape)
            outside = AIR if self.hounsfield else float(self.array.min())
            return sampled(self.array, way.inverse(), whole, outside=outside), (z, y, x)
        array: Hounsfield = np.ascontiguousarray(self.array.transpose(order)[flips])
        return array, (z, y, x)

    def to_source(self, values: NDArray[Number]) -> NDArray[Number]:
        """A map or mask that covers the model's grid, in this array's axes and shape.

        Of the model's own shape it is the exact inverse of `to_model`, but for a tilted gantry; else it is interpolated
        linearly (pixel-centre convention), and a mask is where at least half is.
        """
        return self.part_of(values, tuple(slice(0, length) for length in self.array.shape))

    def part_of(self, values: NDArray[Number], box: Box) -> NDArray[Number]:
        """The same in a box of the array alone."""
        shape, _ = self._model_grid
        if values.shape == shape and not self.tilted:
            order, flips = axis_order(self.direction)
            found: NDArray[Number] = np.ascontiguousarray(values[flips].transpose(np.argsort(order))[box])
            return found
        if values.dtype == np.bool_:
            return cast("NDArray[Number]", sampled(values.astype(np.float32), self._way_to(values.shape), box) >= 0.5)
        return sampled(values, self._way_to(values.shape), box)

    def box_of(self, cells: Box, shape: tuple[int, ...]) -> Box | None:
        """The box of this array that holds each voxel whose value is made of a box of a map's cells, with a margin."""
        wider = tuple(slice(one.start - 1, one.stop + 1) for one in cells)
        return box_in(self._way_to(shape), wider, self.array.shape)

    def cells_of(self, index: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.intp]:
        """The cells (n, 3) of a map of this shape in which voxels (n, 3) of this array lie."""
        found = np.rint(self._way_to(shape)(index.astype(np.float64))).astype(np.intp)
        return np.clip(found, 0, np.asarray(shape) - 1)

    def position(self, index: Sequence[float]) -> tuple[float, float, float]:
        """The LPS position in mm of an index (slice, row, column) into `array`; whole numbers are voxel centres."""
        x, y, z = np.asarray(self.origin) + (np.asarray(index) * self.spacing) @ self.direction
        return float(x), float(y), float(z)

    @property
    def _model_grid(self) -> tuple[tuple[int, ...], Affine]:
        """Shape of the model's array, and the way from a voxel of this array to one of it."""
        order, flips = axis_order(self.direction)
        if not self.tilted:
            shape = tuple(self.array.shape[axis] for axis in order)
            turn = np.eye(3)[list(order)]
            back = np.array([flip.step < 0 for flip in flips])
            return shape, Affine(np.where(back, -1.0, 1.0)[:, None] * turn, np.where(back, np.array(shape) - 1.0, 0.0))
        upright = Upright.of(self.array.shape, self.spacing, self.direction, self.origin)
        return upright.shape, upright.way

    def _way_to(self, shape: tuple[int, ...]) -> Affine:
        """From a voxel of this array to a cell of a map that covers the model's grid."""
        model, way = self._model_grid
        return way.then(Affine.between(model, shape))


def load_volume(
    paths: Sequence[Path],
    decoder: Decoder,
    rules: Input | None = None,
    numbers_of_frames: Sequence[int] = (),
    known: Mapping[Path, Dataset] | None = None,
) -> SourceVolume:
    """Sort, check, decode and rescale the slices of a series.

    Parameters
    ----------
    paths
        A file each slice.
    numbers_of_frames
        The frame of each slice, where the files are of enhanced CTs.
    known
        Headers of files that have been read already; they stay as they are.

    Raises
    ------
    VolumeError
        They are no regular stack, or none within the rules; the sentence has the reason and the place in mm.
    DecodeError
        By the decoder.
    """
    files = _headers(paths, numbers_of_frames, known or {})
    found = stack([one for one, _ in files.values()], rules)
    for one in found.headers:
        require_monochrome(one)
        if "SliceThickness" not in one:  # results must say one
            one.SliceThickness = f"{found.spacing[0]:.4f}"
    shape = (len(found.headers), int(found.headers[0].Rows), int(found.headers[0].Columns))
    array = np.empty(shape, dtype=np.int16 if all(map(_whole, found.headers)) else np.float32)
    in_order = [files[id(one)][1] for one in found.headers]
    for index, stored in _stored(found.headers, in_order, decoder):
        array[index] = values_of(stored, found.headers[index])
    return SourceVolume(found.headers, array, found.spacing, found.direction, found.origin, found.left_out)


def _headers(
    paths: Sequence[Path], wanted: Sequence[int], known: Mapping[Path, Dataset]
) -> dict[int, tuple[Dataset, Path]]:
    """Each slice's header and file, by the header's identity; a file of many frames is read once."""
    read = {path: frames(_copied(known[path]) if path in known else header(path)) for path in dict.fromkeys(paths)}
    named = zip(paths, wanted or [1] * len(paths), strict=True)
    slices = ((read[path][number - 1], path) for path, number in named)
    return {id(one): (drop_invalid(one), path) for one, path in slices}


def _copied(header_: Dataset) -> Dataset:
    copy = changed(header_)
    copy.file_meta = header_.file_meta
    return copy


def _stored(headers: Sequence[Dataset], paths: Sequence[Path], decoder: Decoder) -> Iterator[tuple[int, Stored]]:
    """(index, stored values) of each slice; one after another is in memory."""
    if frame_number(headers[0]) is None:
        yield from enumerate(decoder.decode_many(paths))
        return
    for path in dict.fromkeys(paths):
        wanted = {frame_number(one): index for index, one in enumerate(headers) if paths[index] == path}
        for number, stored in enumerate(decoder.decode_frames(path), start=1):
            if number in wanted:
                yield wanted[number], stored


def _whole(header: Dataset) -> bool:
    """Whether its values are whole numbers."""
    if "ModalityLUTSequence" in header:
        return False
    values = numbers(header, "RescaleSlope"), numbers(header, "RescaleIntercept")
    return all(value is None or value[0].is_integer() for value in values)


def values_of(stored: Stored, dataset: Dataset) -> NDArray[np.float32]:
    """HU of a CT slice; of another one its own numbers, by its Rescale Slope, if any, and the smallest where padded."""
    if modality_of(dataset) == "CT":
        return hounsfield(stored, dataset)
    values: NDArray[np.float32] = modality(stored.astype(np.float64), dataset).astype(np.float32)
    if "PixelPaddingValue" in dataset:
        outside = padded(stored, dataset)
        values[outside] = values[~outside].min() if not outside.all() else 0.0
    return np.clip(values, -DENSEST, DENSEST)


def hounsfield(stored: Stored, dataset: Dataset) -> NDArray[np.float32]:
    """Stored values of one CT slice to HU, by its own slope and intercept; padding is AIR, nothing is below."""
    slope, intercept = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    if slope is None or intercept is None or not slope[0]:
        raise VolumeError("a slice has no Rescale Slope and Intercept, so its values are no Hounsfield units")
    values: NDArray[np.float32] = stored.astype(np.float32) * np.float32(slope[0]) + np.float32(intercept[0])
    if "PixelPaddingValue" in dataset:
        values[padded(stored, dataset)] = AIR
    np.clip(values, AIR, DENSEST, out=values)
    return values
