"""Small CT studies with a nodule, each with UIDs of its own, and the package that finds it at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import UID, ExplicitVRLittleEndian

from models import packages
from models.cardfile import card_text
from tests.viewer import phantoms

PACKAGE = "coarse-ct"
ROOT = "1.2.826.0.1.3680043.8.498.5"
_META = 144  # bytes: preamble, prefix, and (0002,0000), whose value counts the rest of the File Meta Information
_SLICES = range(0, phantoms.SLICES, 4)  # 20 mm apart


@dataclass(frozen=True, slots=True)
class Image:
    """One instance as it is sent."""

    study_instance_uid: str
    sop_instance_uid: str
    sha256: str
    """Of the Data Set's bytes."""
    path: Path

    @property
    def data_set(self) -> bytes:
        """Its Data Set."""
        content = self.path.read_bytes()
        return content[_META + int.from_bytes(content[_META - 4 : _META], "little") :]


Study = tuple[Image, ...]


def write_package(parent: Path) -> None:
    """The shipped detector of nodule candidates with coarser steps; it reads a study in a tenth of a second."""
    folder = parent / PACKAGE
    folder.mkdir(parents=True)
    shipped = packages.load_card(packages.find("chest-ct"))
    assert shipped.detector is not None
    rules = {"smallest_slices": 5, "slice_thickness": (0.4, 40.0)}
    steps = {"working_spacing_mm": 3.0, "closing_mm": 20.0, "opening_mm": 3.0, "nodule_threshold_hu": -500.0}
    scores = {"diameter_mm": (4.0, 60.0), "air_contact": (0.1, 0.9), "aspect": (6.0, 1.3)}
    card = shipped.model_copy(
        update={
            "name": PACKAGE,
            "input": shipped.input.model_copy(update=rules),
            "detector": shipped.detector.model_copy(update=steps | scores),
        }
    )
    (folder / packages.CARD).write_text(card_text(card), encoding="utf-8")


class Patients:
    """Any number of studies, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        drawn = folder / "drawn"
        drawn.mkdir(parents=True)
        self._slices = [dcmread(path) for path in phantoms.volume(phantoms.PRONE, 1, drawn, _SLICES)]

    def next(self, *, padding: int = 0) -> Study:
        """The next study; `padding` bytes of a private element make each of its instances larger."""
        self._count += 1
        return tuple(self._saved(ds, number, padding) for number, ds in enumerate(self._slices, 1))

    def many(self) -> Iterator[Study]:
        """Studies without end."""
        while True:
            yield self.next()

    def changed(self, image: Image) -> Image:
        """Another content under the same UIDs."""
        ds = dcmread(image.path)
        ds.SeriesDescription = "changed"
        return written(ds, self._folder / f"{image.sop_instance_uid}.changed.dcm")

    def _saved(self, ds: Dataset, number: int, padding: int) -> Image:
        study = f"{ROOT}.{self._count}"
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = study, f"{study}.1", f"{study}.1.{number}"
        ds.PatientID, ds.AccessionNumber, ds.FrameOfReferenceUID = f"F{self._count}", f"F{self._count}", f"{study}.0"
        block = ds.private_block(0x0099, "READFIRST FAULTS", create=True)
        block.add_new(0x01, "OB", bytes(padding))
        return written(ds, self._folder / f"{ds.SOPInstanceUID}.dcm")


def written(ds: Dataset, path: Path) -> Image:
    """The file of a Data Set, and the hash of what is written of it, which no product code has read."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID, meta.FileMetaInformationVersion = UID(f"{ROOT}.0"), b"\0\1"
    body, head = DicomBytesIO(), DicomBytesIO()
    for stream in (body, head):
        stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(body, ds)
    write_file_meta_info(head, meta)
    content = body.getvalue()
    path.write_bytes(bytes(128) + b"DICM" + head.getvalue() + content)
    sha256 = hashlib.sha256(content).hexdigest()
    return Image(str(ds.StudyInstanceUID), str(ds.SOPInstanceUID), sha256, path)
