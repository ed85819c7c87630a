"""What a PACS files a result by, valid where a device wrote otherwise, and what was changed in it, for people.

Patient ID and the UIDs stay as they are, whatever is wrong with them: Orthanc and others file by Patient ID and Study
Instance UID, letter by letter, and under a shorter Patient ID a result would be another patient's. The Accession Number
and the name are attributes of a study that the PACS has filed already: there a value that the standard allows does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_description, dictionary_VM
from pydicom.multival import MultiValue

from node.dicom.character_sets import UNREADABLE
from node.dicom.headers import Header

AS_IT_IS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
LONGEST = {"PatientID": 64, "AccessionNumber": 16, "StudyID": 16}
NAME_GROUPS, NAME_COMPONENTS, NAME_GROUP = 3, 5, 64  # PS3.5 6.2, PN
LINES = ("LT", "ST", "UT")  # of several lines; no other VR has line breaks
TEXTS = ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UC", "UR", *LINES)
_ESCAPES = re.compile(r"\x1b[\x20-\x2f]*[\x30-\x7e]?")  # ISO 2022, of a character set that was not decoded
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_OF_LINES = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")


def mended(element: DataElement) -> DataElement:
    """The element with a value that its VR and its multiplicity allow, as far as that can be made of it.

    Of several values where one is allowed the first counts; control characters and escape sequences are left out; a
    name is cut to three groups of five components and 64 characters, an Accession Number to 16 characters.
    """
    if element.VR not in TEXTS or element.keyword in AS_IT_IS or element.value in (None, ""):
        return element
    several = list(element.value) if isinstance(element.value, MultiValue | list) else [element.value]
    texts = [_text(value, element.VR) for value in several]
    if element.keyword and dictionary_VM(element.tag) == "1":
        texts = [next((text for text in texts if text.strip()), "")]
    if element.keyword == "AccessionNumber":
        texts = [text.strip()[: LONGEST["AccessionNumber"]].strip() for text in texts]
    if texts == [str(value) for value in several]:
        return element
    return DataElement(element.tag, element.VR, texts if len(texts) > 1 else texts[0])


def identity_remarks(headers: Iterable[Dataset]) -> tuple[str, ...]:
    """What differs between results and images, or is as invalid as in these; no value of the patient's is in it."""
    return tuple(dict.fromkeys(remark for header in headers for remark in _remarks(header)))


def _remarks(header: Dataset) -> Iterator[str]:
    for keyword, what in (("PatientID", "is kept as it is, since a PACS files by it"), ("PatientName", "is mended"),
                          ("AccessionNumber", "is mended"), ("StudyID", "is left empty or mended")):  # fmt: skip
        if keyword in header and (fault := _fault(header[keyword])):
            yield f"{dictionary_description(keyword)} of the images {fault}: in the results it {what}"
    for found in sorted(header.undeclared) if isinstance(header, Header) else ():
        how = "some of it could not be read" if found == UNREADABLE else f"it was read as {found}"
        yield f"text of the images is not in the Specific Character Set that they declare: {how}"


def _fault(element: DataElement) -> str:
    if isinstance(element.value, MultiValue):
        return f"has {len(element.value)} values where one is allowed"
    text = str(element.value or "")
    longest = LONGEST.get(element.keyword)
    if longest and len(text) > longest:
        return f"has {len(text)} characters where {longest} are allowed"
    if element.keyword in AS_IT_IS:
        return "holds control characters" if _CONTROL.search(text) else ""
    return "is not as its Value Representation asks for" if str(mended(element).value or "") != text else ""


def _text(value: object, vr: str) -> str:
    if vr == "PN":
        return _name(value)
    text = _ESCAPES.sub("", str(value))
    return (_CONTROL_OF_LINES if vr in LINES else _CONTROL).sub("", text)


def _name(value: object) -> str:
    text = _CONTROL.sub("", _ESCAPES.sub("", str(value)))
    return "=".join(_group(group) for group in text.replace("\\", " ").split("=")[:NAME_GROUPS])


def _group(group: str) -> str:
    """Five components; the text of a sixth and a seventh is joined to the last."""
    components = group.split("^")
    if len(components) > NAME_COMPONENTS:
        components[NAME_COMPONENTS - 1 :] = [" ".join(filter(None, components[NAME_COMPONENTS - 1 :]))]
        while components and not components[-1]:
            components.pop()
    return "^".join(components)[:NAME_GROUP].rstrip("^ ") if len(group) > NAME_GROUP else "^".join(components)
