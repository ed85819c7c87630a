"""Source headers as highdicom needs them: complete and valid, whatever a modality left out or wrote wrongly."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.valuerep import DA, TM

from workers.headers import numbers

# Type 2 of the Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1), which highdicom reads without asking.
_TYPE_2 = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
_CHECKED: dict[str, Callable[[Any], object]] = {"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM}


def prepared(header: Dataset) -> Dataset:
    """A copy with each type 2 attribute of patient and study, empty where missing or not valid.

    The text is written in UTF-8: highdicom refuses some character sets that modalities use, and ours must fit beside
    the patient's name.
    """
    missing = {keyword: None for keyword in _TYPE_2 if keyword not in header}
    wrong = {keyword: None for keyword, kind in _CHECKED.items() if not _valid(kind, header.get(keyword))}
    sex = {} if header.get("PatientSex") in ("M", "F", "O") else {"PatientSex": None}
    return changed(header, **(missing | wrong | sex | {"SpecificCharacterSet": "ISO_IR 192"}))


def changed(header: Dataset, **values: object) -> Dataset:
    """A copy with other values, without elements that cannot be read; the header stays as it is.

    Elements are decoded before they are copied: a copy with another Specific Character Set would misread the bytes. And
    they are replaced, not assigned to: pydicom's copies share them, so that the header would change with its copy.
    """
    copy = Dataset()
    for tag in header.keys():  # noqa: SIM118  iterating a Data Set decodes it, and stops at the first bad element
        with suppress(ValueError, TypeError, KeyError, OverflowError, NotImplementedError):
            copy.add(header[tag])
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


def _valid(kind: Callable[[Any], object], value: object) -> bool:
    try:
        kind(value)
    except (ValueError, TypeError):
        return False
    return True
