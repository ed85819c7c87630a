from __future__ import annotations

import re
import struct
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.dicom.elements import UNDEFINED
from node.dicom.headers import LONGEST, read_attributes, read_header
from node.dicom.identity import identify
from node.errors import UnreadableInstance
from tests.fuzz.datasets import deflated, nested, nested_whole
from tests.node.damaged import cut_after_uids, with_short_rows, with_unknown_vr
from tests.node.phantoms import INSTANCE, PATIENT_ID, PATIENT_NAME, STUDY, encoded, image, key, part10, save

ROOT = Path(__file__).parents[3]
TAGS = frozenset({0x00080060, 0x00100020})
damage_is_meant = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_a_header_is_all_but_the_pixels(tmp_path: Path, syntax: str) -> None:
    header = read_header(save(tmp_path / "x.dcm", image(), syntax))
    assert (header.PatientName, header.PatientID, header.StudyInstanceUID) == (PATIENT_NAME, PATIENT_ID, STUDY)
    assert header.file_meta.TransferSyntaxUID == syntax
    assert "PixelData" not in header


def test_received_instances_are_read_by_pydicom_in_one_place() -> None:
    """What we wrote ourselves is read back by the gate, for work items, and where a result is made of another."""
    reads = re.compile(r"\b(dcmread|read_dataset|read_file_meta_info)\b")
    paths = (path for package in ("node", "workers") for path in (ROOT / package).rglob("*.py"))
    found = {str(path.relative_to(ROOT)) for path in paths if reads.search(path.read_text(encoding="utf-8"))}
    own = "workers/gate/", "workers/results/", "node/worklist/items/encoding.py"
    ours = {path for path in found if path.startswith(own)}
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
        (part10(cut_after_uids(image())), "it ends within a sequence"),
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
def test_a_value_of_no_vr_is_read_by_the_dictionarys_and_a_private_one_left_out(tmp_path: Path) -> None:
    private = b"\x09\0\x10\0LO\x04\0FUZZ\x09\0\x01\x10??\x04\0abcd"
    dataset = with_unknown_vr(image()).replace(b"\x10\0\x10\0PN", private + b"\x10\0\x10\0PN", 1)
    header = read_header(save(tmp_path / "x.dcm", dataset, sop_instance_uid="1.2"))
    assert (header.PatientName, header.PatientID, header.StudyInstanceUID) == (PATIENT_NAME, PATIENT_ID, STUDY)
    assert [element.tag for element in header if element.tag.is_private] == [0x00090010]


@pytest.mark.parametrize("vr", [b"UL", b"OB", b"  ", b"\0\0", b"lo", b"??", b"DS"])
def test_a_text_is_a_text_whatever_vr_it_was_sent_with(tmp_path: Path, vr: bytes) -> None:
    def sent_as(tag: bytes, right: bytes) -> None:
        nonlocal dataset
        at = dataset.index(tag + right)
        length = dataset[at + 6 : at + 8]
        new = tag + vr + (b"\0\0" + length + b"\0\0" if vr == b"OB" else length)
        dataset = dataset[:at] + new + dataset[at + 8 :]

    dataset = encoded(image())
    sent_as(b"\x20\0\x0d\0", b"UI")
    sent_as(b"\x10\0\x20\0", b"LO")
    header = read_header(save(tmp_path / "x.dcm", dataset, sop_instance_uid=INSTANCE))
    assert (header.PatientID, header.StudyInstanceUID) == (PATIENT_ID, STUDY)
    assert identify(dataset, ExplicitVRLittleEndian, CTImageStorage, INSTANCE).study_instance_uid == STUDY


@pytest.mark.parametrize("private", [b"\0\0", b"  ", b"lo", b"QQ", b"\4\0"])
def test_elements_behind_one_of_no_vr_are_read(tmp_path: Path, private: bytes) -> None:
    """Where no text stands in place of the VR the element is one of implicit VR."""
    length = b"\0\0" if private == b"\4\0" else b"\4\0"
    dataset = encoded(image()).replace(b"\x10\0\x10\0PN", b"\x09\0\x01\x10" + private + length + b"abcd\x10\0\x10\0PN")
    header = read_header(save(tmp_path / "x.dcm", dataset, sop_instance_uid=INSTANCE))
    assert (header.PatientID, header.StudyInstanceUID, header.Rows) == (PATIENT_ID, STUDY, 4)
    assert identify(dataset, ExplicitVRLittleEndian, CTImageStorage, INSTANCE) == key()


def _private(value: bytes, length: int | None = None, vr: bytes = b"OB") -> bytes:
    return struct.pack("<HH2sxxL", 0x0009, 0x1001, vr, len(value) if length is None else length) + value


def _items(count: int) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, 0) * count


HOSTILE: dict[str, tuple[bytes, int]] = {  # an element before the patient, and bytes of nothing behind it
    "300 MB": (_private(b"", 300 << 20), 300 << 20),
    "300 MB as a sequence": (_private(b"", 300 << 20, b"SQ"), 300 << 20),
    "a million items": (_private(_items(1_000_000), vr=b"SQ"), 0),
    "a million items, no length": (_private(_items(1_000_000), UNDEFINED, b"SQ"), 0),
    "10,000 deep": (nested(0x0009, 0x1001), 0),
    "10,000 deep, of known length": (nested_whole(0x0009, 0x1001), 0),
    "10,000 deep, unknown": (nested(0x0009, 0x1001, vr=b"UN"), 0),
    "a length beyond the end": (_private(b"", 0xFFFFFFF0), 0),
}


UNREACHED = ("a million items, no length", "10,000 deep, unknown", "a length beyond the end")


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_hostile_elements_cost_neither_memory_nor_time(tmp_path: Path, name: str) -> None:
    """The patient, who stands behind them, is known where the walk gets there."""
    element, hole = HOSTILE[name]
    whole = encoded(image())
    at = whole.index(b"\x10\0\x10\0PN")
    path = tmp_path / "x.dcm"
    with path.open("wb") as file:
        file.write(part10(whole[:at] + element))
        file.seek(hole, 1)
        file.write(whole[at:])
    for read, most in ((lambda: read_attributes(path, TAGS), 8 << 20), (lambda: read_header(path), 3 * LONGEST)):
        began = time.process_time()
        tracemalloc.start()
        try:
            with suppress(UnreadableInstance):
                assert read().Modality == "CT"
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < most
        assert time.process_time() - began < 30.0  # traced; a busy core took 5
    known = read_attributes(path, TAGS).get("PatientID")
    assert known == (None if name in UNREACHED else PATIENT_ID)


def test_a_bomb_is_inflated_no_further_than_the_tags_that_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "x.dcm"
    bomb = deflated(encoded(image(PixelData=None)) + _private(b"", 1 << 28), 1 << 28)
    path.write_bytes(part10(bomb, DeflatedExplicitVRLittleEndian))
    tracemalloc.start()
    try:
        assert read_attributes(path, TAGS).PatientID == PATIENT_ID
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    with pytest.raises(UnreadableInstance, match="more than 16 MiB before its pixels"):
        read_header(path)


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
