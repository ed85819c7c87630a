from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.dicom.headers import read_header, read_instance
from node.errors import UnreadableInstance
from tests.node.damaged import cut_after_uids, with_short_rows, with_unknown_vr
from tests.node.phantoms import PATIENT_ID, PATIENT_NAME, STUDY, image, part10, save

ROOT = Path(__file__).parents[3]
damage_is_meant = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_a_header_is_all_but_the_pixels(tmp_path: Path, syntax: str) -> None:
    header = read_header(save(tmp_path / "x.dcm", image(), syntax))
    assert (header.PatientName, header.PatientID, header.StudyInstanceUID) == (PATIENT_NAME, PATIENT_ID, STUDY)
    assert header.file_meta.TransferSyntaxUID == syntax
    assert "PixelData" not in header


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_a_whole_instance_has_its_pixels_and_no_more_than_declared(tmp_path: Path, syntax: str) -> None:
    path = save(tmp_path / "x.dcm", image(), syntax)
    whole = read_instance(path, lambda header: int(header.Rows) * int(header.Columns) * 2)
    assert (whole.file_meta.TransferSyntaxUID, whole.PixelData) == (syntax, image().PixelData)


def test_received_instances_are_read_by_pydicom_in_one_place() -> None:
    """What we wrote ourselves is read back by the gate and where a result is made of another."""
    reads = re.compile(r"\b(dcmread|read_dataset|read_file_meta_info)\b")
    paths = (path for package in ("node", "workers") for path in (ROOT / package).rglob("*.py"))
    found = {str(path.relative_to(ROOT)) for path in paths if reads.search(path.read_text(encoding="utf-8"))}
    ours = {path for path in found if path.startswith(("workers/gate/", "workers/results/"))}
    assert found - ours == {"node/dicom/headers.py"}


def test_pixels_that_are_cut_do_not_matter(tmp_path: Path) -> None:
    path = save(tmp_path / "x.dcm", image())
    path.write_bytes(path.read_bytes()[:-20])
    assert read_header(path).PatientName == PATIENT_NAME


@damage_is_meant
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"", "it is no DICOM file: there is no DICM after 128 bytes"),
        (b"no DICOM at all", "it is no DICOM file: there is no DICM after 128 bytes"),
        (part10(cut_after_uids(image())), "OSError"),
    ],
    ids=["missing", "empty", "no DICOM", "cut"],
)
def test_what_cannot_be_read_is_one_error_without_a_value(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "x.dcm"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadableInstance, match=rf"^the file x\.dcm cannot be read as DICOM: {reason}$") as said:
        read_header(path)
    assert not [word for word in (*PATIENT_NAME.split("^"), PATIENT_ID, "no DICOM at") if word in str(said.value)]


@damage_is_meant
def test_a_value_that_cannot_be_decoded_is_left_out(tmp_path: Path) -> None:
    path = save(tmp_path / "x.dcm", with_unknown_vr(image()), sop_instance_uid="1.2")
    header = read_header(path)
    assert "PatientID" not in header
    assert (header.PatientName, header.StudyInstanceUID) == (PATIENT_NAME, STUDY)
    assert [element.keyword for element in header] == [
        "SOPClassUID", "SOPInstanceUID", "StudyDate", "Modality", "PatientName", "StudyInstanceUID",
        "SeriesInstanceUID", "Rows", "Columns", "BitsAllocated", "BitsStored",
    ]  # fmt: skip


@damage_is_meant
def test_a_value_that_cannot_be_decoded_is_left_out_of_an_item(tmp_path: Path) -> None:
    item = Dataset()
    item.PatientID, item.TypeOfPatientID = "1", "TEXT"
    dataset = with_unknown_vr(image(PatientID=None, OtherPatientIDsSequence=[item]))
    header = read_header(save(tmp_path / "x.dcm", dataset, sop_instance_uid="1.2"))
    (kept,) = header.OtherPatientIDsSequence
    assert [element.keyword for element in kept] == ["TypeOfPatientID"]


def test_every_value_of_a_header_can_be_asked_for(tmp_path: Path) -> None:
    """pydicom meets a number of one byte when the value is first asked for: here, and not where it is used."""
    header = read_header(save(tmp_path / "x.dcm", with_short_rows(image()), sop_instance_uid="1.2"))
    assert "Rows" not in header
    assert [element.value for element in header if element.keyword == "Columns"] == [4]
