"""Source headers as highdicom needs them: complete and valid, whatever a modality left out or wrote wrongly."""

from __future__ import annotations

from collections.abc import Mapping

from pydicom import Dataset
from pydicom.datadict import dictionary_VR

from workers.dicom.attributes import numbers
from workers.dicom.identity import AS_IT_IS, mended
from workers.dicom.sequences import carried_on, valid

# Type 2 of the Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1), which highdicom reads without asking.
_TYPE_2 = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip

# Of an animal; what is analysed is a human, and a species needs its breed beside it (PS3.3 C.7.1.1).
_ANIMAL = (
    "PatientSpeciesDescription", "PatientSpeciesCodeSequence", "PatientBreedDescription", "PatientBreedCodeSequence",
    "BreedRegistrationSequence", "PatientSexNeutered", "StrainDescription", "StrainNomenclature",
    "StrainCodeSequence", "StrainAdditionalInformation",
)  # fmt: skip

# Values of the Patient and Patient Study modules that are enumerated: another one is dropped.
_WORDS: Mapping[str, tuple[object, ...]] = {
    "PatientSex": ("M", "F", "O"),
    "PatientIdentityRemoved": ("YES", "NO"),
    "PregnancyStatus": (1, 2, 3, 4),
    "QualityControlSubject": ("YES", "NO"),
    "SmokingStatus": ("YES", "NO", "UNKNOWN"),
}
# Classes that may hold several frames, and have no functional groups (or need not): ultrasound, secondary captures,
# ophthalmic photographs.
_FRAMES_WITHOUT_GROUPS = frozenset(
    "1.2.840.10008.5.1.4.1.1." + rest for rest in ("3.1", "7.2", "7.3", "7.4", "77.1.5.1", "77.1.5.2")
)
_TRIAL = "ClinicalTrial"  # keywords of its modules begin so
_OF_TRIAL = tuple(
    _TRIAL + each for each in ("SponsorName", "ProtocolID", "ProtocolName", "SiteID", "SiteName", "SubjectID")
)


def prepared(header: Dataset) -> Dataset:
    """A copy without values and sequences that are not allowed, mended, and with each type 2 attribute that is missing.

    highdicom copies the patient's and the study's attributes into results, and one bad age or study time in a source
    would keep every result from passing the gate. The text is written in UTF-8: highdicom refuses some character sets
    that modalities use, and ours must fit beside the patient's name.
    """
    copy = changed(header, SpecificCharacterSet="ISO_IR 192")
    for element in tuple(copy):
        if element.VR == "SQ":
            copy.pop(element.tag)
            if (carried := carried_on(element)) is not None:
                copy.add(carried)
        elif element.keyword not in AS_IT_IS:
            del copy[element.tag]
            if valid(made := mended(element)):
                copy.add(made)
    _drop_halves(copy)
    for keyword in _TYPE_2:
        if keyword not in copy:
            copy.add_new(keyword, dictionary_VR(keyword), None)
    if copy.get("SOPClassUID") in _FRAMES_WITHOUT_GROUPS and "SharedFunctionalGroupsSequence" not in copy:
        copy.NumberOfFrames = copy.get("NumberOfFrames") or 1
        copy.SharedFunctionalGroupsSequence = [_functional_group(header)]
        copy.PerFrameFunctionalGroupsSequence = [Dataset()]
    return copy


def _functional_group(header: Dataset) -> Dataset:
    """What highdicom looks for in every class that may hold several frames: ophthalmic photographs have none."""
    group, measures = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(pixel_spacing(header)[0] or (1.0, 1.0)), 1.0
    group.PixelMeasuresSequence = [measures]
    return group


def _drop_halves(copy: Dataset) -> None:
    """In place, without what the modules of patient and study allow only in other words or beside something else."""
    dropped = [*_ANIMAL, *(keyword for keyword, allowed in _WORDS.items() if copy.get(keyword) not in allowed)]
    if not copy.get("DeidentificationMethod") and "DeidentificationMethodCodeSequence" not in copy:
        dropped += ["PatientIdentityRemoved"] if copy.get("PatientIdentityRemoved") == "YES" else []
    if not copy.get("ResponsiblePersonRole"):
        dropped += ["ResponsiblePerson", "ResponsiblePersonRole", "ResponsibleOrganization"]
    if not all(copy.get(keyword) for keyword in _OF_TRIAL):
        dropped += [element.keyword for element in copy if _TRIAL in element.keyword]
    for keyword in dropped:
        copy.pop(keyword, None)


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
