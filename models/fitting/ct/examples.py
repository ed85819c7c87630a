"""Chest CT volumes with masks of their lungs: labelled folders, and DICOM series with a file of numbered structures.

A folder of volumes is `models.data.volumes.folders` describes it; a volume counts where SERIES.lungs.nii.gz lies beside
it. A folder with mask.nii.gz, structures.csv (columns structure, id) and dicom/ is a series with the organs of
TotalSegmentator (Wasserthal et al., Radiology: AI 2023), whose indices run along x, y and z, y from the back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from models.anatomy.ct.lungs import sides_of
from models.data.tables import read_rows
from models.data.volumes.folders import masks_of, read_volume_examples
from models.data.volumes.nifti import read_nifti_mask, read_nifti_volume
from models.data.volumes.volume import Volume
from models.errors import DataError
from models.regions import Mask

LUNGS = "lungs"
LOBES = "lung_"
SIDES = ("_right", "_left")


@dataclass(frozen=True, slots=True, eq=False)
class LungExample:
    """A volume, whose anatomy it shows, and the masks (d, h, w) of the right and the left lung."""

    name: str
    patient: str
    volume: Volume
    right: Mask
    left: Mask


def lung_examples(folder: Path, split: str) -> Iterator[LungExample]:
    """All of a folder, or of volumes/ and the series with structures below it; those belong to "train".

    Raises
    ------
    DataError
        There is none, or a file is not what its name says.
    """
    volumes = next((one for one in (folder, folder / "volumes") if (one / "labels.csv").is_file()), None)
    found = 0
    for example in (*(_of_volumes(volumes, split) if volumes else ()), *_of_series(folder, split)):
        found += 1
        yield example
    if not found:
        raise DataError(f"{folder} has no volume of the split {split} with a mask SERIES.lungs.nii.gz beside it.")


def _of_volumes(folder: Path, split: str) -> Iterator[LungExample]:
    patients = {row["series"]: row["patient"] for row in read_rows(folder / "labels.csv", ("series", "patient"))}
    for file in read_volume_examples(folder, split, []).files:
        mask = masks_of(file).get(LUNGS)
        if mask is not None:
            name, volume = file.name.removesuffix(".nii.gz"), read_nifti_volume(file)
            both = volume.image(read_nifti_mask(mask, volume).astype(np.uint8))
            yield LungExample(name, patients[name], volume, *sides_of(both))


def _of_series(folder: Path, split: str) -> Iterator[LungExample]:
    for table in sorted(folder.glob("*/structures.csv")) if split == "train" else ():
        volume, numbers = _series(table.parent / "dicom"), _structures(table.parent / "mask.nii.gz")
        if numbers.shape != volume.array.shape:
            raise DataError(f"{table.parent}: mask.nii.gz has other axes than the series in dicom.")
        right, left = (np.isin(numbers, _lobes(table, side)) for side in SIDES)
        yield LungExample(table.parent.name, table.parent.name, volume, right, left)


def _lobes(table: Path, side: str) -> list[int]:
    rows = [(row["structure"], int(row["id"])) for row in read_rows(table, ("structure", "id"))]
    return [number for name, number in rows if name.startswith(LOBES) and name.endswith(side)]


def _structures(path: Path) -> NDArray[np.uint8]:
    """(d, h, w) numbers of structures; rows of the file run from the back, those of a volume from the front."""
    numbers: NDArray[np.uint8] = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[:, ::-1]
    return numbers


def _series(folder: Path) -> Volume:
    reader = sitk.ImageSeriesReader()
    names = reader.GetGDCMSeriesFileNames(str(folder))
    if not names:
        raise DataError(f"{folder} holds no DICOM series.")
    reader.SetFileNames(names)
    return Volume.of_image(reader.Execute())
