"""A study of the kind that a card asks for, made of shapes: to try a package where no real one is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from models.card import Input
from workers.inputs.storage import COLOURED, image_classes

IN_SPACE = ("CT", "MR", "PT")  # modalities whose images have a place in the patient
PIXEL = 0.7  # mm between rows and columns of a volume
FIELD = 380.0  # mm that a slice shows
SLICES, GAP = 48, (0.5, 5.0)  # of a volume at least; the distances that it may have, mm
_AIR, _LUNG, _TISSUE = 24, 174, 1064  # stored values: HU + 1024
Pixels = NDArray[np.uint16]


def write_specimen(rules: Input, folder: Path) -> tuple[Path, ...]:
    """Write the study's instances; its patient is called Specimen."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    headers = _image(rules) if rules.kind == "image" else _volume(rules)
    paths = []
    for number, dataset in enumerate(headers, start=1):
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        if dataset.Modality in IN_SPACE:
            dataset.FrameOfReferenceUID = frame
        dataset.SeriesNumber, dataset.InstanceNumber = 1, number
        paths.append(folder / f"{number:04}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return tuple(paths)


def _image(rules: Input) -> list[Dataset]:
    """A slope of grey with a bright disc in its upper left quarter; in colour red with a green disc."""
    assert rules.size is not None
    rows, columns = (max(least, length) for least, length in zip(rules.smallest_rows_columns, rules.size, strict=True))
    y, x = np.ogrid[:rows, :columns]
    grey = 300.0 + 2000.0 * (y + x) / (rows + columns)
    disc = (y - 0.35 * rows) ** 2 + (x - 0.35 * columns) ** 2 <= (0.1 * min(rows, columns)) ** 2
    dataset = _dataset((grey + 1500 * disc).astype(np.uint16), rules)
    if rules.colour == "rgb" and dataset.SOPClassUID in COLOURED:
        _colour(dataset, grey / 4096, disc)
    dataset.PatientOrientation, dataset.ImageType = ["L", "F"], ["ORIGINAL", "PRIMARY"]
    if dataset.Modality == "OP":
        dataset.NumberOfFrames = 1
    if dataset.Modality in IN_SPACE:
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [-100, -100, 0], [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.SliceThickness = [PIXEL, PIXEL], 2.5
    if rules.views:
        dataset.ViewPosition = rules.views[0]
    if dataset.SOPClassUID == DigitalXRayImageStorageForPresentation:
        dataset.PresentationIntentType = "FOR PRESENTATION"
    return [dataset]


def _colour(dataset: Dataset, red: NDArray[np.float64], green: NDArray[np.bool_]) -> None:
    """Pixels of 8 bits in red, green and blue, in place."""
    planes = np.stack([red, 0.6 * green, np.full_like(red, 0.2)], -1)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = (planes * 255).astype(np.uint8).tobytes()
    dataset["PixelData"].VR = "OB"


def _volume(rules: Input) -> list[Dataset]:
    """An oval of water with two oval lungs and a ball of water, 20 mm wide, in the right one."""
    low, high = rules.slice_thickness or GAP
    gap = min(max(2.5, low), high)
    count = max(SLICES, rules.smallest_slices, round(240 / gap))
    side = max(round(FIELD / PIXEL), *rules.smallest_rows_columns)
    slices, corner = [], round((PIXEL - side * PIXEL) / 2, 3)
    for index in range(count):
        z = (index - (count - 1) / 2) * gap
        dataset = _dataset(_slice(side, z, count * gap / 2), rules)
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.ImagePositionPatient = [corner, corner, round(z, 3)]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.SliceThickness = [PIXEL, PIXEL], round(gap, 3)
        if dataset.Modality == "CT":
            dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, -1024, "HU"
        slices.append(dataset)
    return slices


def _slice(side: int, z: float, reach: float) -> Pixels:
    y, x = (np.ogrid[:side, :side][axis] * PIXEL - side * PIXEL / 2 for axis in (0, 1))
    found = np.full((side, side), _AIR, np.uint16)
    found[(x / 165) ** 2 + (y / 115) ** 2 <= 1] = _TISSUE
    narrowed = 1 - (z / (0.9 * reach)) ** 2
    for centre in (-75.0, 75.0):
        found[((x - centre) / 55) ** 2 + (y / 85) ** 2 <= max(narrowed, 0.0)] = _LUNG
    found[(x + 75) ** 2 + (y - 20) ** 2 + z**2 <= 10**2] = _TISSUE
    return found


def _dataset(pixels: Pixels, rules: Input) -> Dataset:
    dataset = Dataset()
    dataset.Modality = rules.modalities[0]
    dataset.SOPClassUID = image_classes(dataset.Modality)[0]
    dataset.SOPInstanceUID = generate_uid()
    dataset.PatientName, dataset.PatientID = "SPECIMEN^", "SPECIMEN"
    if rules.body_parts:
        dataset.BodyPartExamined = rules.body_parts[0]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset
