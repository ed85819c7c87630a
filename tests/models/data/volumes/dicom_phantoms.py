"""CT slices and a multi-frame file of a small volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

from models.data.volumes.volume import Volume
from models.simulation.scanner.slices import Plan, sliced

BALL = np.array([8.0, -5.0, 12.0])  # LPS mm
AXIAL = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def _base(sop_class: str, series: str, array: NDArray[np.uint16]) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = generate_uid()
    dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.Modality = "CT"
    dataset.SeriesInstanceUID = series
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Rows, dataset.Columns = array.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = array.tobytes()
    return dataset


def slices(
    array: NDArray[np.uint16],
    cosines: NDArray[np.float64] = AXIAL,
    step: float = 3.0,
    series: str = "1.2.3",
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> list[Dataset]:
    """One data set a slice; HU = value / 2 - 1000."""
    normal = np.cross(*cosines)
    found = []
    for index, plane in enumerate(array):
        dataset = _base(CTImageStorage, series, plane)
        dataset.ImageOrientationPatient = [float(f"{one:.6f}") for one in cosines.ravel()]
        place = np.array([-10.0, 20.0, 30.0]) + index * (step * normal + np.array(shift))
        dataset.ImagePositionPatient = [float(f"{one:.4f}") for one in place]
        dataset.PixelSpacing, dataset.RescaleSlope, dataset.RescaleIntercept = [0.8, 0.7], 0.5, -1000.0
        found.append(dataset)
    return found


def enhanced(array: NDArray[np.uint16], step: float = 3.0) -> Dataset:
    """The same as one multi-frame data set, its frames from head to feet."""
    dataset = _base(EnhancedCTImageStorage, "1.2.4", array[::-1].copy())
    dataset.NumberOfFrames = len(array)
    measures, transform, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [0.8, 0.7]
    transform.RescaleSlope, transform.RescaleIntercept = 0.5, -1000.0
    orientation.ImageOrientationPatient = AXIAL.ravel().tolist()
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PixelValueTransformationSequence = Sequence([transform])
    shared.PlaneOrientationSequence = Sequence([orientation])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for index in reversed(range(len(array))):
        position, group = Dataset(), Dataset()
        position.ImagePositionPatient = [-10.0, 20.0, 30.0 + step * index]
        group.PlanePositionSequence = Sequence([position])
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    return dataset


def save(folder: Path, datasets: list[Dataset]) -> Path:
    """Files 0.dcm, 1.dcm … of a folder, in a shuffled order of names."""
    folder.mkdir(parents=True, exist_ok=True)
    count = len(list(folder.iterdir()))
    for index, dataset in enumerate(datasets):
        dataset.save_as(folder / f"{count + (7 * index) % 31:02}.dcm", enforce_file_format=True)
    return folder


def tilted_ball(degrees: float) -> list[Dataset]:
    """Slices of a gantry that is tilted about x, while the table moves along z; a ball of 9 mm at BALL in air."""
    size = (60, 60, 60)
    z, y, x = (np.arange(n) * 1.5 - 0.75 * (n - 1) for n in size)
    away = np.linalg.norm(np.stack(np.meshgrid(z, y, x, indexing="ij"), -1) - BALL[::-1], axis=-1)
    hu = np.where(away < 9, 50.0, -900.0).astype(np.float32)
    volume = Volume(hu, (1.5, 1.5, 1.5), (float(x[0]), float(y[0]), float(z[0])))
    cut = sliced(volume, Plan(24, 3.0, 50, 60, plane_mm=1.5, tilt=degrees))
    found = slices(
        ((cut.values + 1000) * 2).round().clip(0).astype(np.uint16), np.array([cut.row_cosines, cut.column_cosines])
    )
    for dataset, position in zip(found, cut.positions, strict=True):
        dataset.ImagePositionPatient = [float(f"{one:.4f}") for one in position]
        dataset.PixelSpacing = [1.5, 1.5]
    return found
