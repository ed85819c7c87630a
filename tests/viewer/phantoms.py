"""Patients with white lesions at known places that no mirror and no turn maps onto themselves.

Radiographs are drawn as they are seen from the front (patient's left on the picture's right, head up) and then stored
as a modality might: turned, mirrored, with oblong pixels, inverted. CT slices are sampled from one body in LPS
millimetres along any axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)

from models.data.volumes.volume import Volume as Scan

ROOT = "1.2.826.0.1.3680043.8.498.4"  # below pydicom's own root
WHITE = 4095
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Radiograph:
    """How one radiograph is stored, and where on the stored picture its lesion lies (fractions of rows, columns)."""

    name: str
    modality: str
    lesion: tuple[float, float]
    orientation: tuple[str, str] = ("L", "F")
    inverse: bool = False
    shape: tuple[int, int] = (512, 512)
    spacing: tuple[float, float] | None = None


# Together: all four quadrants, CR and DX, both photometric interpretations, oblong pixels, every kind of turn.
RADIOGRAPHS = (
    Radiograph("upper left, CR", "CR", (0.30, 0.28), shape=(511, 509)),
    Radiograph("upper right, CR, MONOCHROME1", "CR", (0.26, 0.68), inverse=True),
    Radiograph("lower left, DX, oblong pixels", "DX", (0.70, 0.30), shape=(320, 512), spacing=(0.8, 0.4)),
    Radiograph("lower right, DX, mirrored", "DX", (0.64, 0.72), orientation=("R", "F"), spacing=(0.7, 0.7)),
    Radiograph("upper right, CR, feet up, MONOCHROME1", "CR", (0.34, 0.70), orientation=("L", "H"), inverse=True),
    Radiograph(
        "lower left, DX, on its side, MONOCHROME1, oblong pixels", "DX", (0.72, 0.36), orientation=("F", "R"),
        inverse=True, shape=(512, 400), spacing=(0.5, 0.8),
    ),
)  # fmt: skip


def radiograph(case: Radiograph, study: int, number: int, folder: Path) -> Path:
    """The file of a case, as series `number` of the study."""
    rows, columns = case.shape
    y, x = np.mgrid[:rows, :columns]
    height, width = np.array(case.shape) * (case.spacing or (0.5, 0.5))
    across = {"x": (x + 0.5) / columns * width, "y": (y + 0.5) / rows * height}
    v, u = case.lesion
    seen = _chest(across["x"] / width, across["y"] / height)
    # 34 mm long and 15 mm wide, its long axis 30 degrees off the columns, as millimetres of the stored picture
    inside = _tilted(
        across["x"] - u * width, across["y"] - v * height, 30.0, min(height, width) * np.array([0.13, 0.06])
    )
    seen = np.where(inside, 1.0, seen)
    values = np.rint((1 - seen if case.inverse else seen) * WHITE).astype("<u2")
    classes = {"CR": ComputedRadiographyImageStorage, "DX": DigitalXRayImageStorageForPresentation}
    ds = _instance(study, number, 1, classes[case.modality], case.modality, values)
    ds.SeriesDescription, ds.ViewPosition, ds.PatientOrientation = case.name, "PA", list(case.orientation)
    ds.PhotometricInterpretation = "MONOCHROME1" if case.inverse else "MONOCHROME2"
    ds.WindowCenter, ds.WindowWidth = (WHITE + 1) / 2, WHITE + 1
    ds.PixelRepresentation = 0
    if case.spacing:
        ds.ImagerPixelSpacing = list(case.spacing)
    if case.modality == "DX":
        ds.PresentationIntentType = "FOR PRESENTATION"
        ds.PresentationLUTShape = "INVERSE" if case.inverse else "IDENTITY"
        ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", 1 if case.inverse else -1
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType, ds.ImageLaterality = 1, 0, "US", "U"
        ds.ImageType, ds.BurnedInAnnotation, ds.LossyImageCompression = ["ORIGINAL", "PRIMARY", ""], "NO", "00"
    return _saved(ds, folder)


@dataclass(frozen=True)
class Volume:
    """The axes along which a CT's rows and columns grow, as unit vectors in LPS, and where its nodules lie (LPS mm)."""

    name: str
    axes: tuple[tuple[float, float, float], tuple[float, float, float]]  # Image Orientation (Patient)
    nodules: tuple[tuple[float, float, float], ...]


def _turned(about_x: float, about_z: float) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Axial axes turned by degrees."""
    a, b = np.radians([about_x, about_z])
    tilt = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    along_columns, along_rows, _ = (tilt @ turn).T.round(12).tolist()
    return tuple(along_columns), tuple(along_rows)


OBLIQUE = Volume("oblique", _turned(18.0, 12.0), ((78.0, 30.0, -20.0), (-58.0, -28.0, 34.0)))
PRONE = Volume("prone", ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)), ((-62.0, -34.0, 25.0),))
SIDE, SLICES, PIXEL, GAP = 161, 26, 2.1, 5.0  # so many pixels that no frame of one bit each ends with a byte


def volume(case: Volume, study: int, folder: Path, slices: Sequence[int] = range(SLICES)) -> list[Path]:
    """The files of these slices of a case."""
    return [_slice(case, study, index, folder) for index in slices]


def scanned(volume: Scan, study: int, folder: Path, description: str) -> list[Path]:
    """The files of a volume of HU, a slice each."""
    cosines = np.array(volume.direction).reshape(3, 3)
    saved = []
    for index, values in enumerate(np.rint(volume.array).astype("<i2")):
        corner = np.array(volume.origin) + cosines[:, 2] * index * volume.spacing[0]
        ds = _ct_slice(study, index + 1, values, corner, (*cosines[:, 0], *cosines[:, 1]))
        ds.SeriesDescription, ds.SliceThickness = description, volume.spacing[0]
        ds.PixelSpacing = list(volume.spacing[1:])
        saved.append(_saved(ds, folder))
    return saved


def _slice(case: Volume, study: int, index: int, folder: Path) -> Path:
    along, down = np.array(case.axes)
    normal = np.cross(along, down)
    corner = normal * (index - (SLICES - 1) / 2) * GAP - (along + down) * PIXEL * (SIDE - 1) / 2
    rows, columns = np.mgrid[:SIDE, :SIDE][..., np.newaxis]
    points = corner + columns * PIXEL * along + rows * PIXEL * down
    values = np.rint(_hounsfield(points, case.nodules)).astype("<i2")
    ds = _ct_slice(study, index + 1, values, corner, (*along, *down))
    ds.SeriesDescription, ds.PixelSpacing, ds.SliceThickness = f"CT, {case.name}", [PIXEL, PIXEL], GAP
    return _saved(ds, folder)


def _ct_slice(study: int, number: int, values: NDArray[np.int16], corner: Array, axes: Sequence[float]) -> Dataset:
    ds = _instance(study, 1, number, CTImageStorage, "CT", values)
    ds.ImageType, ds.KVP, ds.AcquisitionNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], 120, 1
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = f"{ROOT}.{study}.0", None
    ds.ImageOrientationPatient = [round(float(value), 10) for value in axes]
    ds.ImagePositionPatient = [round(float(value), 6) for value in corner]
    ds.PhotometricInterpretation, ds.PixelRepresentation = "MONOCHROME2", 1
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, 0, "HU"
    ds.WindowCenter, ds.WindowWidth = -300, 1400
    return ds


def _hounsfield(points: Array, nodules: Sequence[tuple[float, float, float]]) -> Array:
    """A trunk of water with two lungs, and in them oblong nodules that are denser than all else."""
    x, y, z = np.moveaxis(points, -1, 0)
    values = np.where((x / 150) ** 2 + (y / 105) ** 2 < 1, 20.0, -1000.0)
    for side in (-1, 1):
        lung = ((x - side * 68) / 52) ** 2 + (y / 76) ** 2 + (z / 120) ** 2 < 1
        values[lung] = -850.0
    for nodule in nodules:
        away = np.moveaxis(points - np.array(nodule), -1, 0)
        inside = _tilted(away[0], away[1], 30.0, np.array([19.0, 11.0])) & (np.abs(away[2]) < 13)
        values[inside] = 400.0
    return values


def _chest(u: Array, v: Array) -> Array:
    """Grey levels 0..1 of a picture of something like a chest, for u to the right and v downwards, both 0..1."""
    seen = np.where(np.abs(u - 0.5) < 0.46, 0.38, 0.04)
    for side in (-1, 1):
        seen = np.where(((u - 0.5 - side * 0.21) / 0.16) ** 2 + ((v - 0.45) / 0.34) ** 2 < 1, 0.16, seen)
    return seen


def _tilted(x: Array, y: Array, degrees: float, axes: Array) -> NDArray[np.bool_]:
    """Inside of an ellipse around 0 whose first axis points `degrees` downwards from x."""
    angle = np.radians(degrees)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    inside: NDArray[np.bool_] = (along / axes[0]) ** 2 + (across / axes[1]) ** 2 < 1
    return inside


def _instance(
    study: int, series: int, number: int, sop_class_uid: str, modality: str, values: NDArray[np.number]
) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.Modality = sop_class_uid, modality
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.{study}", f"{ROOT}.{study}.{series}"
    ds.SOPInstanceUID = f"{ROOT}.{study}.{series}.{number}"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = f"Phantom^{study}", f"P{study}", "", "O"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20260102", "101500", str(study), f"A{study}"
    ds.ReferringPhysicianName, ds.BodyPartExamined, ds.Laterality = "", "CHEST", ""
    ds.SeriesNumber, ds.InstanceNumber = series, number
    ds.SamplesPerPixel, ds.Rows, ds.Columns = 1, *values.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = (
        16,
        12 if values.dtype.kind == "u" else 16,
        11 if values.dtype.kind == "u" else 15,
    )
    ds.PixelData = values.tobytes()
    return ds


def _saved(ds: Dataset, folder: Path) -> Path:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / f"{ds.SOPInstanceUID}.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path
