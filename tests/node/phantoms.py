"""Instances as the tests of the node send them: small, valid, and written byte by byte."""

from __future__ import annotations

from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.dsutils import encode, encode_file_meta
from sqlalchemy import Connection

from node.entities import InstanceKey, ResultObject, StoredInstance
from node.ledger import studies

STUDY, SERIES, INSTANCE = "1.2.826.0.1.3680043.9.1", "1.2.826.0.1.3680043.9.1.1", "1.2.826.0.1.3680043.9.1.1.1"
PATIENT_NAME, PATIENT_ID = "Secret^Name", "HUSH4711"
PREAMBLE = b"\0" * 128 + b"DICM"


def key(sop_instance_uid: str = INSTANCE, study_instance_uid: str = STUDY) -> InstanceKey:
    return InstanceKey(study_instance_uid, SERIES, sop_instance_uid, CTImageStorage)


def stored(sop_instance_uid: str = INSTANCE, sha256: str = "a" * 64, study_instance_uid: str = STUDY) -> StoredInstance:
    path = f"instances/{sop_instance_uid}.{sha256[:4]}.dcm"
    return StoredInstance(key(sop_instance_uid, study_instance_uid), ExplicitVRLittleEndian, path, sha256, 10)


def claim(connection: Connection, study_instance_uid: str = STUDY, generation: int = 1, now: float = 0.0) -> None:
    """What came of a study is complete, and a worker analyses it."""
    for row in studies.receiving(connection):
        if row["study_instance_uid"] == study_instance_uid:
            assert studies.complete(connection, row, "quiet", now)
    assert studies.claim(connection, study_instance_uid, generation, now, 20.0)


def result(sop_instance_uid: str = "2.25.1", kind: str = "statement") -> ResultObject:
    sop_class_uid = "1.2.840.10008.5.1.4.1.1.88.34"
    return ResultObject(
        sop_instance_uid, sop_class_uid, "2.25.9", "chest-xray", kind, f"results/{sop_instance_uid}.dcm"
    )


def image(sop_instance_uid: str = INSTANCE, **changes: object) -> Dataset:
    """A CT image of 4 x 4 pixels; `changes` are attributes by keyword, None takes one away."""
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = sop_instance_uid
    dataset.StudyDate = "20260101"
    dataset.Modality = "CT"
    dataset.PatientName = PATIENT_NAME
    dataset.PatientID = PATIENT_ID
    dataset.StudyInstanceUID = STUDY
    dataset.SeriesInstanceUID = SERIES
    dataset.Rows = dataset.Columns = 4
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.add_new("PixelData", "OW", bytes(range(32)))
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def encoded(dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    written = encode(dataset, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    assert written is not None
    return written


def part10(
    dataset: bytes,
    syntax: UID = ExplicitVRLittleEndian,
    sop_instance_uid: str = INSTANCE,
    sop_class_uid: str = CTImageStorage,
) -> bytes:
    """Preamble, File Meta Information and `dataset` as it is; what the meta says is what the command will say."""
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = sop_class_uid
    meta.MediaStorageSOPInstanceUID = sop_instance_uid
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = "1.2.826.0.1.3680043.9.99"
    return PREAMBLE + encode_file_meta(meta) + dataset


def save(path: Path, dataset: Dataset | bytes, syntax: UID = ExplicitVRLittleEndian, **command: str) -> Path:
    """Write a file; the command says the Data Set's own UIDs unless `command` says others."""
    if isinstance(dataset, Dataset):
        command = {"sop_instance_uid": str(dataset.SOPInstanceUID)} | command
        dataset = encoded(dataset, syntax)
    path.write_bytes(part10(dataset, syntax, **command))
    return path
