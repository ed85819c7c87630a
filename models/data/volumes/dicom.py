"""A volume from DICOM: a folder of CT slices, or one enhanced multi-frame file.

Of several series the one with most slices is read. This is simpler than what the node does with a study that it
receives: no rules of a card, no choice among kernels, no mending. Slices that a tilted gantry stacked askew are
resampled onto the patient's own axes by the node's rule; what is no regular grid otherwise is refused.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from models.data.geometry.stacking import Floats, Upright, shear_of, tilt_of
from models.data.images import UNREADABLE, is_dicom
from models.data.volumes.frames import BAD_HEADER, Frame, frames_of
from models.data.volumes.volume import Volume
from models.errors import DataError

LEAST_SLICES = 2
SAME_DIRECTION = 2e-3  # of a direction cosine
SAME_PLACE_MM = 0.02
EVEN = 0.06  # of the usual distance; a tenth of a millimetre is lost where positions are written with one decimal
AIR_HU = np.float32(-1024.0)

Array = NDArray[np.float32]


def read_dicom_volume(path: Path) -> Volume:
    """The volume of a folder (files directly in it) or of a multi-frame file, HU, never below -1024.

    Raises
    ------
    DataError
        There is no CT series, its slices are no regular grid (the sentence says where), or pixels cannot be decoded.
    """
    frames = _longest(path)
    ordered, step, shear = _stack(path, frames)
    first = ordered[0]
    array = np.empty((len(ordered), *first.size), np.float32)
    _decode(ordered, array)
    axes = _orthonormal(np.array([*first.cosines, first.normal]))
    if shear.any():
        return _upright(array, (step, *first.pixel), np.array([axes[2] + shear, axes[1], axes[0]]), first.position)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((first.pixel[1], first.pixel[0], step))
    image.SetOrigin(first.position.tolist())
    image.SetDirection(axes.T.ravel().tolist())
    return Volume.of_image(image)


def _upright(array: Array, spacing: tuple[float, float, float], direction: Floats, origin: Floats) -> Volume:
    """The volume of slices that lie askew, resampled onto the patient's axes."""
    grid = Upright.of(array.shape, spacing, direction, origin.tolist())
    return Volume(grid.resampled(array), grid.spacing, grid.origin, tilt=tilt_of(direction[0]))


def holds_ct(folder: Path) -> bool:
    """Whether a folder has a DICOM file directly in it."""
    return any(_is_dicom(one) for one in sorted(folder.iterdir()))


def _is_dicom(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.name != "DICOMDIR" and is_dicom(path)


def _longest(path: Path) -> list[Frame]:
    """The frames of the series that has most."""
    try:
        files = [one for one in sorted(path.iterdir()) if _is_dicom(one)] if path.is_dir() else [path]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    series: dict[str, list[Frame]] = defaultdict(list)
    for file in files:
        for frame in frames_of(file):
            series[frame.series].append(frame)
    found = max(series.values(), key=len, default=[])
    if len(found) < LEAST_SLICES:
        count = "none" if not found else "one slice"
        raise DataError(
            f"{path} holds no CT volume: of {len(files)} DICOM files {count} is CT and no localizer. Name the folder"
            " whose files are the slices of one series."
        )
    return found


def _stack(path: Path, frames: Sequence[Frame]) -> tuple[list[Frame], float, Floats]:
    """The frames along their normal, the distance between them in mm, and their shear (see `shear_of`)."""
    _require_alike(path, frames)
    normal = frames[0].normal
    ordered = sorted(frames, key=lambda frame: float(frame.position @ normal))
    along = np.array([frame.position @ normal for frame in ordered])
    steps = np.diff(along)
    usual = float(np.median(steps))
    if usual <= SAME_PLACE_MM or (steps <= SAME_PLACE_MM).any():
        at = int(np.argmin(steps))
        raise DataError(
            f"{path} has two slices at {_place(ordered[at])}: several phases, kernels or copies lie in one series."
            " Put the slices of one of them into a folder of their own."
        )
    uneven = np.flatnonzero(np.abs(steps - usual) > max(EVEN * usual, SAME_PLACE_MM))
    if uneven.size:
        at = int(uneven[0])
        raise DataError(
            f"{path} lacks slices or has them unevenly: after the one at {_place(ordered[at])} the next lies"
            f" {steps[at]:.2f} mm on, and {usual:.2f} mm is usual. Copy the whole series again."
        )
    step = float(along[-1] - along[0]) / (len(ordered) - 1)
    positions = np.array([frame.position for frame in ordered])
    try:
        shear = shear_of(positions, normal, max(frames[0].pixel), lambda index: _place(ordered[index]))
    except DataError as error:
        raise DataError(f"{path} is no stack of slices: {error}. Copy the whole series again.") from error
    return ordered, step, shear


def _require_alike(path: Path, frames: Sequence[Frame]) -> None:
    """DataError where frames differ in orientation, size or pixel spacing."""
    first = frames[0]
    others = [one for one in frames if np.abs(one.cosines - first.cosines).max() > SAME_DIRECTION]
    if others:
        raise DataError(
            f"{path} has slices of more than one orientation in a series: {len(others)} of {len(frames)} are turned"
            f" against {first.path.name}, the first of them {others[0].path.name}, at {_place(others[0])}. Put one"
            " orientation into a folder of its own."
        )
    shapes = Counter((one.size, tuple(round(mm, 4) for mm in one.pixel)) for one in frames)
    if len(shapes) > 1:
        counts = ", ".join(f"{count} of {size} pixels of {mm} mm" for (size, mm), count in shapes.most_common(3))
        raise DataError(f"{path} has slices of several sizes in a series ({counts}). Put one into a folder of its own.")


def _place(frame: Frame) -> str:
    x, y, z = frame.position
    return f"({x:.1f}, {y:.1f}, {z:.1f}) mm ({frame.path.name})"


def _decode(frames: Sequence[Frame], array: Array) -> None:
    """Fill the array (d, h, w) with HU."""
    from pydicom import dcmread  # noqa: PLC0415 (only DICOM needs it)

    pixels: dict[Path, NDArray[np.generic]] = {}
    padding: dict[Path, int | None] = {}
    for index, frame in enumerate(frames):
        if frame.path not in pixels:
            pixels.clear()
            try:
                dataset = dcmread(frame.path)
                pixels[frame.path] = dataset.pixel_array.reshape(-1, *frame.size)
            except (*UNREADABLE, *BAD_HEADER) as error:
                raise DataError(f"{frame.path}: its pixels cannot be decoded: {error}") from error
            padding[frame.path] = dataset.get("PixelPaddingValue")
        stored = pixels[frame.path][frame.index]
        array[index] = stored.astype(np.float32) * np.float32(frame.slope) + np.float32(frame.intercept)
        if padding[frame.path] is not None:
            array[index][stored == np.asarray(padding[frame.path]).astype(stored.dtype)] = AIR_HU
    np.maximum(array, AIR_HU, out=array)


def _orthonormal(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest rotation: cosines are written with few digits."""
    left, _, right = np.linalg.svd(axes)
    nearest: NDArray[np.float64] = left @ right
    return nearest
