"""Identity as devices write it: every result passes the gate and is filed with the images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import DataElement, Dataset, config, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from tests.field_data import FIELD, needs_field
from tests.workers import results_phantoms as phantoms
from tests.workers.gate.test_gate import needs_dciodvfy
from workers.dicom.attributes import header
from workers.dicom.evidence import prepared
from workers.dicom.identity import identity_remarks
from workers.gate import gate
from workers.results.registry import kinds

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of what is wrong on purpose


def put(dataset: Dataset, attributes: dict[str, Any]) -> Dataset:
    for keyword, value in attributes.items():
        dataset.add(DataElement(keyword, dictionary_VR(keyword), value, validation_mode=config.IGNORE))
    return dataset


def raw(dataset: Dataset, keyword: str, value: bytes) -> None:
    """As a device writes it, whatever Specific Character Set says."""
    tag, vr = Tag(keyword), dictionary_VR(keyword)
    value += b" " * (len(value) % 2)
    dataset._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True, True)


def plain(value: Any) -> Any:
    return [*map(str, value)] if isinstance(value, MultiValue) else str(value) if value else None


LONG = "12345678901234567890"
# What the images say, and what of it results say otherwise.
WRITTEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an Accession Number of 20": ({"AccessionNumber": LONG}, {"AccessionNumber": LONG[:16]}),
    "two Accession Numbers": ({"AccessionNumber": ["", "A2"]}, {"AccessionNumber": "A2"}),
    "blank Accession Number": ({"AccessionNumber": "   "}, {}),
    "a Patient ID of 70": ({"PatientID": "P" * 70}, {"PatientID": "P" * 70}),
    "a Patient ID with a backslash": ({"PatientID": ["12", "34"]}, {"PatientID": ["12", "34"]}),
    "a Patient ID with a line break": ({"PatientID": "12\n34"}, {"PatientID": "12\n34"}),
    "no Patient ID": ({"PatientID": ""}, {}),
    "a name of 81": ({"PatientName": "A" * 81}, {"PatientName": "A" * 64}),
    "a name of seven components": ({"PatientName": "A^B^C^D^E^F^G"}, {"PatientName": "A^B^C^D^E F G"}),
    "a name of many carets": ({"PatientName": "A^B^^^^^^"}, {"PatientName": "A^B"}),
    "a name of four groups": ({"PatientName": "A^B=C=D=E"}, {"PatientName": "A^B=C=D"}),
    "a name with a backslash": ({"PatientName": ["A^B", "C"]}, {"PatientName": "A^B"}),
    "a name with a bell": ({"PatientName": "A\x07^B"}, {"PatientName": "A^B"}),
    "a Study ID of 20": ({"StudyID": LONG}, {"StudyID": None}),
    "two Study IDs": ({"StudyID": ["1", "2"]}, {"StudyID": "1"}),
    "a long referrer": ({"ReferringPhysicianName": "R" * 100}, {"ReferringPhysicianName": "R" * 64}),
    "two referrers": ({"ReferringPhysicianName": ["A^B", "C^D"]}, {"ReferringPhysicianName": "A^B"}),
    "30 February": ({"PatientBirthDate": "19700230"}, {"PatientBirthDate": None}),
    "an American date": ({"PatientBirthDate": "02/03/70"}, {"PatientBirthDate": None}),
    "two study dates": ({"StudyDate": ["20200101", "20200102"]}, {"StudyDate": "20200101"}),
    "half past 24": ({"StudyTime": "243000"}, {"StudyTime": None}),
    "a small sex": ({"PatientSex": "m"}, {"PatientSex": None}),
    "an age without unit": ({"PatientAge": "45"}, {}),
    "a description of two lines": ({"StudyDescription": "Thorax\r\npa"}, {}),
    "a long issuer": ({"IssuerOfPatientID": "I" * 70}, {}),
}  # fmt: skip


@needs_dciodvfy
@pytest.mark.parametrize("what", WRITTEN)
def test_every_result_passes_the_gate_and_says(what: str, tmp_path: Path) -> None:
    attributes, expected = WRITTEN[what]
    made = phantoms.made("image")
    for one in made.headers:
        put(one, attributes)
    found = phantoms.objects(made, set(kinds()))
    checked = gate.check([(one, tmp_path / f"{n}.dcm") for n, (_, one) in enumerate(found)], tmp_path / "quarantine")
    assert [each.faults for each in checked if each.faults] == []
    for _, dataset in found:
        assert {keyword: plain(dataset.get(keyword)) for keyword in expected} == expected


def test_what_is_changed_is_remarked_without_a_word_of_the_patient() -> None:
    dataset = put(phantoms.radiograph(), {"AccessionNumber": LONG, "PatientName": "Q^W^E^R^T^Z", "PatientID": "P" * 70})
    remarks = identity_remarks([dataset, dataset])
    assert remarks == (
        "Patient ID of the images has 70 characters where 64 are allowed: in the results it is kept as it is, since a "
        "PACS files by it",
        "Patient's Name of the images is not as its Value Representation asks for: in the results it is mended",
        "Accession Number of the images has 20 characters where 16 are allowed: in the results it is mended",
    )
    assert identity_remarks([phantoms.radiograph()]) == ()


MUELLER, ZHANG = "Müller^Zoë", "Zhang^XiaoDong=张^小东"
IN_58 = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab"
NAMES = {
    "Latin-1, none declared": (b"", MUELLER.encode("latin-1"), MUELLER),
    "UTF-8, none declared": (b"", MUELLER.encode(), MUELLER),
    "UTF-8 under Latin-1": (b"ISO_IR 100", MUELLER.encode(), MUELLER),
    "ISO 2022 IR 58": (b"\\ISO 2022 IR 58", IN_58, ZHANG),
    "ISO 2022 IR 58, not declared": (b"", IN_58, ZHANG),
    "ISO 2022 IR 149": (b"\\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
                        "Hong^Gildong=洪^吉洞"),
    "ISO 2022 IR 87, not declared": (b"", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
                                       "Yamada^Tarou=山田^太郎"),
    "a wrong escape": (b"\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$X;3ED^\x1b$BB@O:\x1b(B", None),
    "Latin-1 under UTF-8": (b"ISO_IR 192", MUELLER.encode("latin-1"), MUELLER),
    "a cut UTF-8": (b"ISO_IR 192", "Müller张".encode()[:-1], None),
    "an unknown set": (b"ISO_IR 999", MUELLER.encode("latin-1"), MUELLER),
    "a misspelt set": (b"UTF-8", MUELLER.encode(), MUELLER),
}  # fmt: skip


@needs_dciodvfy
@pytest.mark.parametrize("what", NAMES)
def test_a_name_in_whatever_letters_passes_the_gate(what: str, tmp_path: Path) -> None:
    character_set, name, expected = NAMES[what]
    source = phantoms.radiograph()
    del source.SpecificCharacterSet
    if character_set:
        raw(source, "SpecificCharacterSet", character_set)
    source.PatientName, source.StudyDescription = "@" * len(name), "%" * len(name[:40])
    source.save_as(tmp_path / "source.dcm", enforce_file_format=True)
    written = (tmp_path / "source.dcm").read_bytes().replace(b"@" * len(name), name)
    (tmp_path / "source.dcm").write_bytes(written.replace(b"%" * len(name[:40]), name[:40]))
    read = header(tmp_path / "source.dcm")
    image = phantoms.image_source(read)
    found = phantoms.objects(phantoms.study_of(phantoms.analysed(image)), {"statement", "segmentation", "capture"})
    checked = gate.check([(one, tmp_path / f"{n}.dcm") for n, (_, one) in enumerate(found)], tmp_path / "quarantine")
    assert [each.faults for each in checked if each.faults] == []
    assert [expected] * 3 in ([None] * 3, [str(dcmread(one.path).PatientName) for one in checked])
    remarks = [remark for remark in identity_remarks([read]) if "Specific Character Set" in remark]
    assert bool(remarks) == ("declared" in what or "under" in what or (what.startswith("a") and "spelt" not in what))


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=90)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    keyword=st.sampled_from(
        ["PatientName", "AccessionNumber", "StudyID", "StudyDate", "StudyTime", "PatientBirthDate", "PatientAge",
         "StudyDescription", "PatientComments", "OtherPatientNames", "IssuerOfPatientID"]
    ),
    value=TEXT,
)  # fmt: skip
def test_whatever_is_written_a_prepared_header_can_be_written_again(tmp_path: Path, keyword: str, value: str) -> None:
    source = phantoms.radiograph(SpecificCharacterSet="ISO_IR 192")
    raw(source, keyword, value.encode())
    source.save_as(tmp_path / "source.dcm", enforce_file_format=True)
    copy = prepared(header(tmp_path / "source.dcm"))
    for element in copy:
        DataElement(element.tag, element.VR, element.value, validation_mode=config.RAISE)


@needs_field
@needs_dciodvfy
@pytest.mark.parametrize("name", ["acc-20", "pid-70", "name-long", "name-6-carets"])
def test_the_field_s_identities(name: str, tmp_path: Path) -> None:
    read = header(FIELD / "04-identity-too-long" / f"{name}.dcm")
    found = phantoms.objects(
        phantoms.study_of(phantoms.analysed(phantoms.image_source(read))), {"statement", "capture"}
    )
    checked = gate.check([(one, tmp_path / f"{n}.dcm") for n, (_, one) in enumerate(found)], tmp_path / "quarantine")
    assert [each.faults for each in checked if each.faults] == []
    assert found[0][1].PatientID == read.PatientID
