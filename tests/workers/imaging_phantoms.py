"""Images with known contents for the tests of choose, pixels, decode, volume and grid, and where real ones lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)

from models.card import Input

SAMPLES = Path(__file__).parents[2] / "deploy" / "samples"
CHEST_XRAY = Input(
    kind="image",
    modalities=("CR", "DX"),
    body_parts=("CHEST", "THORAX"),
    views=("PA", "AP"),
    size=(512, 512),
    smallest_rows_columns=(256, 256),
)
CHEST_CT = Input(
    kind="volume",
    modalities=("CT",),
    body_parts=("CHEST", "THORAX", "LUNG"),
    smallest_rows_columns=(8, 8),
    smallest_slices=5,
    slice_thickness=(0.4, 5.0),
)


def sample(name: str) -> list[Path]:
    """The files of a sample study; the test is skipped where the clone has none."""
    found = sorted((SAMPLES / name).glob("*.dcm"))
    if not found:
        pytest.skip(f"deploy/samples/{name} is not in this checkout")
    return found


def pydicom_file(name: str) -> Path:
    """A file of pydicom or PyPI pydicom-data, never downloaded; the test is skipped where it is missing."""
    found = get_testdata_file(name, download=False)
    if found is None:
        pytest.skip(f"{name} is in PyPI pydicom-data, which is not installed")
    return Path(str(found))


def radiograph(pixels: np.ndarray, **attributes: Any) -> Dataset:
    """A PA chest radiograph in Computed Radiography Image Storage with these stored values; attributes by keyword."""
    dataset = _image(pixels, ComputedRadiographyImageStorage, "CR")
    dataset.ViewPosition, dataset.PatientOrientation = "PA", ["L", "F"]
    return _set(dataset, attributes)


def ct_slice(pixels: np.ndarray, position: tuple[float, float, float], **attributes: Any) -> Dataset:
    """An axial chest CT slice, 1 mm pixels, intercept -1024, at a position in LPS mm."""
    dataset = _image(pixels, CTImageStorage, "CT")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = list(position), [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [1, 1], 1
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.FrameOfReferenceUID = "1.2.3.9"
    return _set(dataset, attributes)


def ct_series(positions: list[float], series: str = "1.2.3.4", **attributes: Any) -> list[Dataset]:
    """Headers (with small pixels) of axial slices at these z, numbered from 1."""
    pixels = np.full((16, 16), 1000, dtype=np.int16)
    return [
        ct_slice(pixels, (0.0, 0.0, z), **{"SeriesInstanceUID": series, "InstanceNumber": index + 1, **attributes})
        for index, z in enumerate(positions)
    ]


def save(dataset: Dataset, path: Path) -> Path:
    """Write as a DICOM file."""
    dataset.save_as(path, enforce_file_format=True)
    return path


def _image(pixels: np.ndarray, sop_class_uid: str, modality: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class_uid, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    dataset.Modality, dataset.BodyPartExamined = modality, "CHEST"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated > 8 else "OB"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _set(dataset: Dataset, attributes: dict[str, Any]) -> Dataset:
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset
