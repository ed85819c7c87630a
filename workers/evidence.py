"""Source headers as highdicom needs them: complete and valid, whatever a modality left out or wrote wrongly."""

from __future__ import annotations

from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR
from pydicom.multival import MultiValue
from pydicom.valuerep import validate_value

from workers.headers import numbers

# Type 2 of the Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1), which highdicom reads without asking.
_TYPE_2 = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip

# What the PACS files a result by: never dropped, however it is written.
_IDENTITY = ("PatientID", "PatientName", "AccessionNumber", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")

_TEXT_VRS = ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UI")


def prepared(header: Dataset) -> Dataset:
    """A copy without values that their VR does not allow, and with each type 2 attribute of patient and study.

    highdicom copies the patient's and the study's attributes into results, and one bad age or study time in a source
    would keep every result from passing the gate. The text is written in UTF-8: highdicom refuses some character sets
    that modalities use, and ours must fit beside the patient's name.
    """
    copy = changed(header, SpecificCharacterSet="ISO_IR 192")
    for element in tuple(copy):
        if element.keyword not in _IDENTITY and not _valid(element):
            del copy[element.tag]
    if copy.get("PatientSex") not in ("M", "F", "O"):
        copy.pop("PatientSex", None)
    for keyword in _TYPE_2:
        if keyword not in copy:
            copy.add_new(keyword, dictionary_VR(keyword), None)
    return copy


def changed(header: Dataset, **values: object) -> Dataset:
    """A copy with other values, without elements that cannot be read; the header stays as it is.

    Elements are decoded before they are copied: a copy with another Specific Character Set would misread the bytes. And
    they are replaced, not assigned to: pydicom's copies share them, so that the header would change with its copy.
    """
    copy = Dataset()
    for element in header:
        copy.add(element)
    for keyword, value in values.items():
        copy.add_new(keyword, dictionary_VR(keyword), value)
    return copy


def pixel_spacing(header: Dataset) -> tuple[tuple[float, float] | None, bool]:
    """((row, column) in mm or None, whether it is only known at the detector).

    Pixel Spacing of a radiograph that equals Imager Pixel Spacing has not been calibrated (PS3.3 10.7.1.3).
    """
    pixel = _positive(numbers(header, "PixelSpacing", 2))
    imager = _positive(numbers(header, "ImagerPixelSpacing", 2))
    found = pixel or imager
    return found, found is not None and found == imager


def _positive(values: tuple[float, ...] | None) -> tuple[float, float] | None:
    return (values[0], values[1]) if values and min(values) > 0 else None


def _valid(element: DataElement) -> bool:
    if element.VR not in _TEXT_VRS or element.value is None:
        return True
    try:
        for value in element.value if isinstance(element.value, MultiValue) else (element.value,):
            validate_value(element.VR, str(value), config.RAISE)
    except ValueError:
        return False
    return True
