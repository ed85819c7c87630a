from __future__ import annotations

import zlib

import pytest
from pydicom import Dataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.dicom.identity import identify, is_received_uid, is_uid
from node.errors import Mismatch, NotUnderstood
from tests.node.phantoms import INSTANCE, encoded, image, key


@pytest.mark.parametrize("value", ["1", "0", "1.2.3", "0.0.1", "2.25." + "9" * 39, "1." + "2" * 62])
def test_these_are_uids(value: str) -> None:
    assert is_uid(value)


@pytest.mark.parametrize(
    "value", ["", ".", "1.", ".1", "1..2", "01", "1.02", "00", "../x", "1/2", "1.2\n", "1.2 ", "1.²", "1." + "2" * 63]
)
def test_these_are_not(value: str) -> None:
    assert not is_uid(value)
    assert not is_uid(None)


@pytest.mark.parametrize("value", ["1.2.3", "1.02", "01", "00", "1..2", "1.", "1.2.840.0000.00010.20", "1." + "0" * 62])
def test_received_ones_are_kept_with_leading_zeros_and_empty_components(value: str) -> None:
    assert is_received_uid(value)


@pytest.mark.parametrize(
    "value", ["", ".", "..", ".1", "../x", "1/2", "1\\2", "1.2\n", "1.2 ", "1.²", "1.a", "1\0", "1." + "2" * 63, None]
)
def test_what_could_name_another_file_is_no_received_uid(value: str | None) -> None:
    assert not is_received_uid(value)


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_an_instance_whose_uids_have_leading_zeros_is_identified_as_sent(keyword: str) -> None:
    found = identify(encoded(image(**{keyword: "1.2.03.4"})), ExplicitVRLittleEndian, CTImageStorage, INSTANCE)
    assert "1.2.03.4" in (found.study_instance_uid, found.series_instance_uid)


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_an_instance_is_identified_in_each_encoding(syntax: UID) -> None:
    assert identify(encoded(image(), syntax), syntax, CTImageStorage, INSTANCE) == key()


def test_only_the_head_is_read() -> None:
    dataset = image()
    head = encoded(dataset)[: encoded(dataset).index(b"\x28\x00\x10\x00")]
    assert identify(head + b"\xff" * 100, ExplicitVRLittleEndian, CTImageStorage, INSTANCE) == key()


def test_a_deflate_bomb_is_not_inflated() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    dataset = image()
    del dataset.PixelData
    bomb = packer.compress(encoded(dataset)) + packer.compress(bytes(1 << 28)) + packer.flush()
    assert identify(bomb, DeflatedExplicitVRLittleEndian, CTImageStorage, INSTANCE) == key()


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_a_missing_uid_is_named(keyword: str) -> None:
    with pytest.raises(NotUnderstood, match=f"{keyword} is missing") as refused:
        identify(encoded(image(**{keyword: None})), ExplicitVRLittleEndian, CTImageStorage, INSTANCE)
    assert refused.value.status == 0xC000


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
@pytest.mark.parametrize("value", ["../x", "1.A2", "1." + "2" * 63, ["1.2", "1.3"]])
def test_what_is_no_uid_is_named_but_not_quoted(keyword: str, value: str | list[str]) -> None:
    with pytest.raises(NotUnderstood, match=f"{keyword} is not a valid UID$"):
        identify(encoded(image(**{keyword: value})), ExplicitVRLittleEndian, CTImageStorage, INSTANCE)


def test_a_command_that_names_another_instance_or_class_is_a_mismatch() -> None:
    for command in ((CTImageStorage, "1.2"), ("1.2", INSTANCE)):
        with pytest.raises(Mismatch) as refused:
            identify(encoded(image()), ExplicitVRLittleEndian, *command)
        assert refused.value.status == 0xA900


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("dataset", [b"", b"\x08", bytes(100), b"\xff" * 100, b"GET / HTTP/1.1\r\n\r\n"])
def test_other_bytes_are_not_understood(dataset: bytes, syntax: UID) -> None:
    with pytest.raises(NotUnderstood):
        identify(dataset, syntax, CTImageStorage, INSTANCE)


def test_an_item_within_a_sequence_is_not_the_instance() -> None:
    dataset = image(StudyInstanceUID=None)
    item = Dataset()
    item.StudyInstanceUID = "1.2.3"
    dataset.ReferencedStudySequence = [item]
    with pytest.raises(NotUnderstood, match="StudyInstanceUID is missing"):
        identify(encoded(dataset), ExplicitVRLittleEndian, CTImageStorage, INSTANCE)


def test_what_stands_behind_its_place_is_found() -> None:
    tag = b"\x10\x00\x20\x00LO"
    with_id, without = encoded(image(PatientID="LATE")), encoded(image(PatientID=None))
    late = with_id[with_id.find(tag) :][:12]
    pixels = without.find(b"\xe0\x7f\x10\x00OW")
    moved = without[:pixels] + late + without[pixels:]
    assert identify(moved, ExplicitVRLittleEndian, CTImageStorage, INSTANCE).patient_id == "LATE"
    assert identify(without + late, ExplicitVRLittleEndian, CTImageStorage, INSTANCE).patient_id == ""
