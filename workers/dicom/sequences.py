"""Sequences of a source's patient and study that results may carry on: only where every item is whole.

highdicom copies them as they are, and one code without a scheme would keep every result from passing the gate. Each of
them is optional in a result, and whoever wants a broken one finds it in the source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydicom import DataElement, Dataset, config
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.valuerep import DA, DT, TM, validate_value

from node.dicom.value_representations import CHARACTER_STRINGS

_TIMES: Mapping[str, Callable[[str], object]] = {"DA": DA, "DT": DT, "TM": TM}
_IMAGE = ("ModalityLUTSequence", "VOILUTSequence")  # how the image is shown: they are read, not copied


def valid(element: DataElement) -> bool:
    """Whether its VR allows the values (PS3.5 6.2); of a VR that is no text, any."""
    if element.VR not in CHARACTER_STRINGS or element.value is None:
        return True
    try:
        for value in element.value if isinstance(element.value, MultiValue) else (element.value,):
            validate_value(element.VR, str(value), config.RAISE)
            if element.VR in _TIMES and str(value).strip():
                _TIMES[element.VR](str(value).strip())  # 30 February has the right letters
    except (ValueError, OverflowError):
        return False
    return True


def whole_code(item: Dataset) -> bool:
    """Whether it has what PS3.3 Table 8.8-1 asks for; long and URN codes are not carried on."""
    keywords = {"CodeValue": 16, "CodingSchemeDesignator": 16, "CodeMeaning": 64}
    return all(_filled(item, keyword) for keyword in keywords) and all(
        valid(item[keyword]) and len(str(item[keyword].value)) <= most for keyword, most in keywords.items()
    )


def carried_on(element: DataElement) -> DataElement | None:
    """The sequence with items whose text is decoded, or None where a result cannot have it."""
    if element.keyword in _IMAGE:
        return element
    kind = element.keyword
    check = _CHECKS.get(kind) or (whole_code if kind.endswith("CodeSequence") else None)
    if check is None:
        return None
    try:
        items = [_decoded(item) for item in element.value or ()]
        fine = bool(items) and all(check(item) and _whole(item) for item in items)
    except (AttributeError, KeyError, NotImplementedError, OverflowError, TypeError, ValueError):
        return None
    return DataElement(element.tag, "SQ", Sequence(items)) if fine else None


def _decoded(item: Dataset) -> Dataset:
    """A copy for another Specific Character Set: of each text decoded, without a set of its own."""
    copy = Dataset()
    for element in item:
        copy.add(
            DataElement(element.tag, "SQ", [_decoded(one) for one in element.value]) if element.VR == "SQ" else element
        )
    copy.pop("SpecificCharacterSet", None)
    return copy


def _whole(item: Dataset) -> bool:
    return all(carried_on(element) is not None if element.VR == "SQ" else valid(element) for element in item)


def _filled(item: Dataset, *keywords: str) -> bool:
    return all(str(item.get(keyword) or "").strip() for keyword in keywords)


def _issuer(item: Dataset) -> bool:
    """HL7v2 Hierarchic Designator, PS3.3 Table 10-17."""
    universal = _filled(item, "UniversalEntityID")
    return universal == _filled(item, "UniversalEntityIDType") and (
        universal or _filled(item, "LocalNamespaceEntityID")
    )


def _qualifiers(item: Dataset) -> bool:
    """PS3.3 Table 10-18."""
    return len(item) > 0 and _filled(item, "UniversalEntityID") == _filled(item, "UniversalEntityIDType")


def _other_id(item: Dataset) -> bool:
    """PS3.3 C.2.2: Patient ID and Type of Patient ID."""
    return _filled(item, "PatientID") and item.get("TypeOfPatientID") in ("TEXT", "RFID", "BARCODE")


def _person(item: Dataset) -> bool:
    """PS3.3 Table 10-1."""
    institution = _filled(item, "InstitutionName") or bool(item.get("InstitutionCodeSequence"))
    return bool(item.get("PersonIdentificationCodeSequence")) and institution


def _reference(item: Dataset) -> bool:
    return _filled(item, "ReferencedSOPClassUID", "ReferencedSOPInstanceUID")


# Of what is no code, the sequences that are carried on, at the root or in each other.
_CHECKS: Mapping[str, Callable[[Dataset], bool]] = {
    "AssigningFacilitySequence": _issuer,
    "ConsultingPhysicianIdentificationSequence": _person,
    "IssuerOfAccessionNumberSequence": _issuer,
    "IssuerOfAdmissionIDSequence": _issuer,
    "IssuerOfPatientIDQualifiersSequence": _qualifiers,
    "IssuerOfServiceEpisodeIDSequence": _issuer,
    "OtherPatientIDsSequence": _other_id,
    "PhysiciansOfRecordIdentificationSequence": _person,
    "PhysiciansReadingStudyIdentificationSequence": _person,
    "ReferencedPatientSequence": _reference,
    "ReferencedStudySequence": _reference,
    "ReferringPhysicianIdentificationSequence": _person,
}
