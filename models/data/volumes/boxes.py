"""boxes.csv of a folder of volumes: where a lesion lies, in voxels of the file."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from models.data.tables import column_names, read_rows
from models.data.volumes.volume import Volume
from models.errors import DataError

EDGES = ("x0", "x1", "y0", "y1", "z0", "z1")


@dataclass(frozen=True, slots=True)
class VolumeBox:
    """One box: first and last voxel, both inside, along the file's own three axes."""

    series: str
    finding: str
    first: tuple[int, int, int]
    """(x, y, z)"""
    last: tuple[int, int, int]


def read_volume_boxes(folder: Path) -> tuple[VolumeBox, ...]:
    """The rows of boxes.csv; none where there is no such file.

    The columns iso_x0, iso_x1 … count where they are there (x0 … are then of the scan before it was resampled), else
    x0, x1 ….

    Raises
    ------
    DataError
        The file cannot be read, a column is missing or a number is none.
    """
    path = folder / "boxes.csv"
    if not path.is_file():
        return ()
    prefix = "iso_" if "iso_x0" in column_names(path) else ""
    rows = read_rows(path, ("series", *(prefix + edge for edge in EDGES)))
    return tuple(_box(row, prefix, f"{path}, line {n}") for n, row in enumerate(rows, start=2))


def _box(row: dict[str, str], prefix: str, where: str) -> VolumeBox:
    try:
        x0, x1, y0, y1, z0, z1 = (int(row[prefix + edge]) for edge in EDGES)
    except ValueError as error:
        raise DataError(f"{where}: the edges of a box are whole numbers of voxels: {error}.") from error
    if x1 < x0 or y1 < y0 or z1 < z0:
        raise DataError(f"{where}: a box ends before it begins.")
    return VolumeBox(row["series"], row.get("finding") or row.get("label") or "", (x0, y0, z0), (x1, y1, z1))


def box_mask(box: VolumeBox, file: Path, volume: Volume) -> NDArray[np.bool_]:
    """The box (d, h, w) on the volume that `read_nifti_volume` made of the file, whatever way the file's axes run.

    Raises
    ------
    DataError
        It does not lie in the volume.
    """
    source, target = _header(file), volume.image(np.broadcast_to(np.uint8(0), volume.array.shape))
    corners = [
        target.TransformPhysicalPointToIndex(source.TransformIndexToPhysicalPoint(corner))
        for corner in product(*zip(box.first, box.last, strict=True))
    ]
    low, high = np.min(corners, axis=0)[::-1], np.max(corners, axis=0)[::-1] + 1
    if (low < 0).any() or (high > volume.array.shape).any():
        raise DataError(f"{file.parent.parent / 'boxes.csv'}: the box of {box.series} does not lie in {file}.")
    mask = np.zeros(volume.array.shape, np.bool_)
    mask[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))] = True
    return mask


def _header(file: Path) -> sitk.Image:
    """An image without voxels of its own meaning, of the file's grid."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    reader.ReadImageInformation()
    image = sitk.Image([1, 1, 1], sitk.sitkUInt8)
    image.SetSpacing(reader.GetSpacing()[:3])
    image.SetOrigin(reader.GetOrigin()[:3])
    image.SetDirection(reader.GetDirection())
    return image
