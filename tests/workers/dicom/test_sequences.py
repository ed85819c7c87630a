"""Local and imperfect codes of modalities and of the RIS cost no result: each passes the gate, dciodvfy included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import DataElement, Dataset, config, dcmread
from pydicom.datadict import dictionary_VR

from tests.workers import results_phantoms as phantoms
from tests.workers.gate.test_gate import needs_dciodvfy
from workers.dicom.evidence import prepared
from workers.gate import gate
from workers.results.registry import kinds


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        made.add(DataElement(keyword, dictionary_VR(keyword), value, validation_mode=config.IGNORE))
    return made


def code(value: str | None, scheme: str | None, meaning: str | None, **more: Any) -> Dataset:
    three = {"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning}
    return item(**{keyword: each for keyword, each in three.items() if each is not None}, **more)


def procedures(*items: Dataset) -> dict[str, Any]:
    return {"ProcedureCodeSequence": [*items], "RequestedProcedureCodeSequence": [*items]}


LOCAL = code("CXR", "99LOCAL", "Thorax")
PERSON = code("4711", "99KIS", "Dr. Dupont")
# What a source has, and which of these its results have, too.
HEADERS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a local procedure": ({"ProcedureCodeSequence": [LOCAL]}, ("ProcedureCodeSequence",)),
    "a local requested procedure": ({"RequestedProcedureCodeSequence": [code("77", "99GE", "CXR 2 views")]}, ()),
    "a local diagnosis": (
        {"AdmittingDiagnosesCodeSequence": [code("J18", "99ICDX", "Pneumonie")]},
        ("AdmittingDiagnosesCodeSequence",),
    ),
    "a local reason": (
        {"ReasonForPerformedProcedureCodeSequence": [code("TÜV", "99RIS", "Müde")]},
        ("ReasonForPerformedProcedureCodeSequence",),
    ),
    "an empty item": (procedures(item()), ()),
    "an empty sequence": (procedures(), ()),
    "no scheme": (procedures(code("CXR", None, "Thorax")), ()),
    "no meaning": (procedures(code("CXR", "99LOCAL", None)), ()),
    "empty meaning": (procedures(code("CXR", "99LOCAL", "")), ()),
    "a long meaning": (procedures(code("CXR", "99LOCAL", "Thorax " * 12)), ()),
    "a long value": (procedures(code("CHEST-XRAY-2-VIEWS", "99LOCAL", "Thorax")), ()),
    "a long code value": (
        procedures(code(None, "99LOCAL", "Thorax", LongCodeValue="CHEST-XRAY-2-VIEWS")),
        (),
    ),
    "a nested code": (
        {"ProcedureCodeSequence": [code("CXR", "99LOCAL", "Thorax", EquivalentCodeSequence=[code("1", None, "x")])]},
        (),
    ),
    "another ID without type": ({"OtherPatientIDsSequence": [item(PatientID="T2", IssuerOfPatientID="KIS")]}, ()),
    "another ID": (
        {"OtherPatientIDsSequence": [item(PatientID="T2", TypeOfPatientID="TEXT")]},
        ("OtherPatientIDsSequence",),
    ),
    "a human": ({"PatientSpeciesDescription": "Human"}, ()),
    "a coded human": ({"PatientSpeciesCodeSequence": [code("337915000", "SCT", "Homo sapiens")]}, ()),
    "an unknown physician": ({"ReferringPhysicianIdentificationSequence": [item()]}, ()),
    "a physician of nowhere": (
        {"ReferringPhysicianIdentificationSequence": [item(PersonIdentificationCodeSequence=[PERSON])]},
        (),
    ),
    "a physician": (
        {
            "ReferringPhysicianIdentificationSequence": [
                item(PersonIdentificationCodeSequence=[PERSON], InstitutionName="Klinik Süd")
            ]
        },
        ("ReferringPhysicianIdentificationSequence",),
    ),
    "an issuer": (
        {
            "IssuerOfAccessionNumberSequence": [item(LocalNamespaceEntityID="RIS")],
            "IssuerOfPatientIDQualifiersSequence": [item(UniversalEntityID="1.2.3", UniversalEntityIDType="ISO")],
        },
        ("IssuerOfAccessionNumberSequence", "IssuerOfPatientIDQualifiersSequence"),
    ),
    "no issuer": (
        {
            "IssuerOfAccessionNumberSequence": [item()],
            "IssuerOfPatientIDQualifiersSequence": [item(UniversalEntityID="1.2.3")],
        },
        (),
    ),
    "a reference to nothing": ({"ReferencedStudySequence": [item()], "ReferencedPatientSequence": [item()]}, ()),
    "identity removed somehow": ({"PatientIdentityRemoved": "YES"}, ()),
    "identity removed": (
        {"PatientIdentityRemoved": "YES", "DeidentificationMethod": "by hand"},
        ("PatientIdentityRemoved", "DeidentificationMethod"),
    ),
    "half a trial": ({"ClinicalTrialSubjectID": "S1", "ClinicalTrialTimePointID": "1"}, ()),
    "someone responsible": ({"ResponsiblePerson": "A^B", "ResponsiblePersonRole": ""}, ()),
    "words of no list": (
        {"QualityControlSubject": "MAYBE", "SmokingStatus": "X", "PregnancyStatus": 7, "PatientIdentityRemoved": "X"},
        (),
    ),
    "what we know nothing of": ({"GroupOfPatientsIdentificationSequence": [item()]}, ()),
}  # fmt: skip


@needs_dciodvfy
@pytest.mark.filterwarnings("ignore:.*exceeds the maximum length:UserWarning")
@pytest.mark.parametrize(
    ("source", "what"), [*(("image", one) for one in HEADERS), *(("volume", one) for one in list(HEADERS)[::6])]
)
def test_every_result_of_such_a_header_passes_the_gate(source: str, what: str, tmp_path: Path) -> None:
    attributes, carried = HEADERS[what]
    made = phantoms.made(source)
    for header in made.headers:
        for keyword, value in attributes.items():
            setattr(header, keyword, value)
    found = phantoms.objects(made, set(kinds()))
    assert {kind for kind, _ in found} == set(kinds()) - ({"saliency-map"} if source == "image" else set())
    checked = gate.check([(one, tmp_path / f"{n}.dcm") for n, (_, one) in enumerate(found)], tmp_path / "quarantine")
    assert [(kind, each.faults) for (kind, _), each in zip(found, checked, strict=True) if each.faults] == []
    (statement,) = [one for kind, one in found if kind == "statement"]
    assert {keyword for keyword in attributes if keyword in statement} == set(carried)


def test_text_in_a_sequence_survives_the_change_of_its_character_set(tmp_path: Path) -> None:
    header = phantoms.radiograph(ProcedureCodeSequence=[code("CXR", "99LOCAL", "Thoraxübersicht")])
    header.save_as(tmp_path / "source.dcm", enforce_file_format=True)
    copy = prepared(dcmread(tmp_path / "source.dcm"))
    copy.file_meta = header.file_meta
    copy.save_as(tmp_path / "copy.dcm", enforce_file_format=True)
    again = dcmread(tmp_path / "copy.dcm")
    assert again.SpecificCharacterSet == "ISO_IR 192"
    assert again.ProcedureCodeSequence[0].CodeMeaning == "Thoraxübersicht"
