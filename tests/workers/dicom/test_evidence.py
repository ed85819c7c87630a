from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.workers import results_phantoms as phantoms
from workers.dicom.evidence import pixel_spacing, prepared


def test_the_source_stays_as_it_is() -> None:
    with pytest.warns(UserWarning):  # pydicom's, about each of them
        header = phantoms.radiograph(PatientSex="X", StudyTime="later", PatientAge="45", PatientID="A" * 65)
    before = header.to_json()
    copy = prepared(header)
    assert header.to_json() == before
    assert (copy.PatientSex, copy.StudyTime) == (None, None)
    assert "PatientAge" not in copy
    assert copy.PatientID == "A" * 65, "a result that the PACS cannot file is worse than one that is too long"
    assert copy.PatientName == header.PatientName


def test_what_is_missing_is_empty() -> None:
    copy = prepared(phantoms.radiograph(PatientID=None, StudyID=None, PatientBirthDate=None, PatientSex=None))
    assert [copy[keyword].value for keyword in ("PatientID", "StudyID", "PatientBirthDate", "PatientSex")] == [
        None, None, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 100", "Müller^Zoë"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO_IR 192", "Ωmega^Ä"),
        ("ISO_IR 144", "Иванов^Иван"),
    ],
)
def test_names_survive_in_whatever_character_set_they_came(character_set: Any, name: str, tmp_path: Path) -> None:
    header = phantoms.radiograph(SpecificCharacterSet=character_set, PatientName=name)
    header.save_as(tmp_path / "source.dcm", enforce_file_format=True)
    copy = prepared(dcmread(tmp_path / "source.dcm"))
    copy.file_meta = header.file_meta
    copy.save_as(tmp_path / "copy.dcm", enforce_file_format=True)
    again = dcmread(tmp_path / "copy.dcm")
    assert again.SpecificCharacterSet == "ISO_IR 192"
    assert str(again.PatientName) == name


def test_an_element_that_cannot_be_read_is_left_behind(tmp_path: Path) -> None:
    header = phantoms.radiograph()
    header.add_new("AcquisitionNumber", "IS", "7")
    header.save_as(tmp_path / "source.dcm", enforce_file_format=True)
    raw = (tmp_path / "source.dcm").read_bytes()
    broken = raw.replace(b"IS\x02\x007 ", b"IS\x02\x00x ")
    assert broken != raw
    (tmp_path / "source.dcm").write_bytes(broken)
    with pytest.warns(UserWarning, match="Invalid value"):
        copy = prepared(dcmread(tmp_path / "source.dcm"))
    assert "AcquisitionNumber" not in copy
    assert copy.PatientID == "T1"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, (None, False)),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, ((0.2, 0.1), True)),
        ({"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.2, 0.1]}, ((0.2, 0.1), True)),
        ({"PixelSpacing": [0.1, 0.1], "ImagerPixelSpacing": [0.2, 0.2]}, ((0.1, 0.1), False)),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.2, 0.2]}, ((0.2, 0.2), True)),
        ({"PixelSpacing": [0.5, 0.5]}, ((0.5, 0.5), False)),
    ],
)
def test_spacing_is_calibrated_at_the_detector_or_unknown(attributes: dict[str, Any], expected: Any) -> None:
    assert pixel_spacing(phantoms.radiograph(**attributes)) == expected
