"""Make the sample studies from their published sources; run once, the results are in the repository.

    python deploy/samples/make_samples.py CHEST_XRAY_FOLDER LIDC_IDRI_0001_FOLDER DOG_FILE

CHEST_XRAY_FOLDER holds `labels.csv` and `images/*.jpg` (NIH ChestX-ray14, 512 x 512), LIDC_IDRI_0001_FOLDER the *.dcm.
The same sources give the same files, bit by bit, with the same versions of pydicom and its codecs.
"""

from __future__ import annotations

import copy
import csv
import shutil
import sys
import uuid
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless

HERE = Path(__file__).parent
RADIOGRAPHS = {
    "chest-xray-pneumothorax": "00027093_002",
    "chest-xray-normal": "00001741_002",
    "chest-xray-effusion": "00019861_010",
}
SOURCE = (
    "From ChestX-ray14, provided by the NIH Clinical Center, nihcc.app.box.com/v/ChestXray-NIHCC. "
    "X. Wang et al., ChestX-ray8, IEEE CVPR 2017, pp. 3462-3471."
)


def main(chest_xray: Path, chest_ct: Path, dog: Path) -> None:
    """Write every sample below this file's folder."""
    rows = {row["image"]: row for row in csv.DictReader((chest_xray / "labels.csv").open(encoding="utf-8"))}
    for folder, name in RADIOGRAPHS.items():
        file = chest_xray / "images" / f"{name}.jpg"
        pixels = np.asarray(Image.open(file).convert("L"))
        dataset = radiograph(name, rows[file.name], pixels)
        dataset.LossyImageCompressionRatio = round(pixels.size / file.stat().st_size, 1)
        save(compressed(dataset), fresh(folder) / f"{name}.dcm")
    series = sorted((dcmread(path) for path in chest_ct.glob("*.dcm")), key=lambda one: int(one.InstanceNumber))
    target = fresh("chest-ct")
    for one in series:
        save(compressed(one), target / f"{int(one.InstanceNumber):03}.dcm")
    shutil.copyfile(dog, fresh("dog") / "dog.dcm")


def radiograph(name: str, row: dict[str, str], pixels: NDArray[np.uint8]) -> Dataset:
    """A published image as a Computed Radiography image: nothing measured is invented, so there is no pixel spacing.

    The DX classes demand Imager Pixel Spacing, which is not known for the scaled images; CR does not.
    """
    patient = name.split("_", maxsplit=1)[0]
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = derived_uid("image", name)
    dataset.StudyDate = dataset.ContentDate = "20170101"
    dataset.StudyTime = dataset.ContentTime = "120000"
    dataset.AccessionNumber = f"NIH{patient}"
    dataset.Modality = "CR"
    dataset.Manufacturer = ""
    dataset.InstitutionName = "NIH Clinical Center"
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "Chest radiograph"
    dataset.SeriesDescription = f"Chest {row['view']}, NIH ChestX-ray14"
    dataset.DerivationDescription = "Published 8 bit grey image, resized to 512 x 512, JPEG 95, wrapped in DICOM"
    dataset.PatientName = f"NIH^{patient}"
    dataset.PatientID = f"NIH-{patient}"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = row["sex"]
    dataset.PatientAge = f"{int(row['age']):03}Y"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "As published by the NIH Clinical Center"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = row["view"]
    dataset.StudyInstanceUID = derived_uid("study", name)
    dataset.SeriesInstanceUID = derived_uid("series", name)
    dataset.StudyID = "1"
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.PatientOrientation = ["L", "F"]  # looked at: the heart and the marker L are on the image's right
    dataset.ImageComments = SOURCE
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionMethod = "ISO_10918_1"
    dataset.WindowCenter, dataset.WindowWidth = 128, 256
    dataset.PixelData = pixels.tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def compressed(dataset: Dataset) -> Dataset:
    """The same instance in the smaller of JPEG-LS and JPEG 2000, both lossless; ValueError where a pixel differs."""
    before = dataset.pixel_array.copy()
    dataset = min((encoded(dataset, syntax) for syntax in (JPEGLSLossless, JPEG2000Lossless)), key=size)
    if not np.array_equal(before, dataset.pixel_array):
        raise ValueError(f"the compression of {dataset.SOPInstanceUID} was not lossless")
    return dataset


def encoded(dataset: Dataset, transfer_syntax: str) -> Dataset:
    """A copy with compressed Pixel Data and the same SOP Instance UID."""
    twin = copy.deepcopy(dataset)
    twin.compress(transfer_syntax, generate_instance_uid=False)
    return twin


def size(dataset: Dataset) -> int:
    """Bytes of Pixel Data."""
    return len(dataset.PixelData)


def derived_uid(kind: str, name: str) -> str:
    """A UID that the same sample has for ever (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, f'https://nihcc.app.box.com/v/ChestXray-NIHCC/{kind}/{name}').int}"


def fresh(folder: str) -> Path:
    """The empty folder of a sample."""
    path = HERE / folder
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def save(dataset: Dataset, path: Path) -> None:
    """Write a DICOM file, and say how large it is."""
    dataset.save_as(path, enforce_file_format=True)
    print(f"{path.relative_to(HERE)}  {dataset.file_meta.TransferSyntaxUID.name}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
