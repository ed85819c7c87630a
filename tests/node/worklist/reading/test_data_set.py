from __future__ import annotations

import pytest
from pydicom import Dataset

from node.dicom.identity import is_uid
from node.worklist.items.json_model import items, put, tag_of, text, to_dataset
from node.worklist.reading.data_set import (
    Reference,
    input_information,
    is_reading,
    reading_attributes,
    reading_uid,
    remark,
)
from tests.node.worklist.scu import NOW, STATION, STUDY


def test_one_uid_a_study_always_the_same():
    assert reading_uid(STUDY) == reading_uid(STUDY) != reading_uid(STUDY + ".1")
    assert reading_uid(STUDY).startswith("2.25.")
    assert is_uid(reading_uid(STUDY))


def test_what_the_reader_sees(header):
    attributes = reading_attributes(STUDY, header, STATION, NOW)
    assert text(attributes, "PatientName") == "Müller^Änne"
    assert text(attributes, "ProcedureStepLabel") == "Reading: CR Thorax p.a."
    assert text(attributes, "WorklistLabel") == "READFIRST reading"
    assert text(attributes, "ScheduledProcedureStepPriority") == "MEDIUM"
    assert text(attributes, "InputReadinessState") == "READY"
    request = items(attributes, "ReferencedRequestSequence")[0]
    assert (text(request, "StudyInstanceUID"), text(request, "AccessionNumber")) == (STUDY, "ACC1")
    assert is_reading(attributes)


def test_the_request_of_the_images_is_taken(header):
    asked = Dataset()
    asked.RequestedProcedureID, asked.RequestedProcedureDescription = "RP1", "Chest"
    header.RequestAttributesSequence = [asked]
    request = items(reading_attributes(STUDY, header, STATION, NOW), "ReferencedRequestSequence")[0]
    assert text(request, "RequestedProcedureID") == "RP1"
    assert text(request, "RequestedProcedureDescription") == "Chest"


def test_a_bare_header_is_enough():
    attributes = reading_attributes(STUDY, Dataset(), STATION, NOW)
    assert text(attributes, "ProcedureStepLabel") == "Reading: study"
    assert text(attributes, "PatientName") == ""


@pytest.mark.filterwarnings("ignore")  # pydicom tells what is wrong with the header
def test_what_is_not_valid_in_the_images_is_not_passed_on():
    header = Dataset()
    header.PatientBirthDate = "29.2.1960"
    header.PatientSex = "female"
    header.PatientID = "1" * 70
    header.Modality = "cr"
    header.StudyDescription = "Thorax\x07"
    header.AccessionNumber = ["A1", "A2"]
    attributes = reading_attributes(STUDY, header, STATION, NOW)
    assert text(attributes, "PatientBirthDate") == text(attributes, "PatientSex") == ""
    assert text(attributes, "PatientID") == "1" * 64
    assert text(attributes, "ProcedureStepLabel") == "Reading: Thorax"
    assert text(items(attributes, "ReferencedRequestSequence")[0], "AccessionNumber") == "A1"
    assert to_dataset(attributes).PatientSex is None or to_dataset(attributes).PatientSex == ""


def test_our_remark_is_one_line_among_others():
    first = remark("", "MEDIUM: before analysis")
    assert first == "ReadFirst: MEDIUM: before analysis"
    both = remark(f"call ward 3\r\n{first}", "HIGH: pneumothorax 0.93")
    assert both == "call ward 3\r\nReadFirst: HIGH: pneumothorax 0.93"
    assert remark(both, "HIGH: pneumothorax 0.93") == both
    assert len(remark("x" * 10240, "too late")) == 10240
    assert len(remark("x" * 10200, "y" * 100)) <= 10240


def test_other_work_is_not_reading():
    attributes = {}
    put(attributes, "ScheduledWorkitemCodeSequence")
    assert not is_reading(attributes)


def test_the_input_is_one_item_a_series():
    references = [Reference(STUDY, "1.1", "1.2.3", f"1.1.{n}") for n in range(3)] + [
        Reference(STUDY, "1.2", "1.2.3", "9")
    ]
    first, second = input_information(references, "PACS")
    assert len(items(first, "ReferencedSOPSequence")) == 3
    assert text(second, "SeriesInstanceUID") == "1.2"
    assert text(items(first, "DICOMRetrievalSequence")[0], "RetrieveAETitle") == "PACS"
    assert text(first, "TypeOfInstances") == "DICOM"


@pytest.mark.filterwarnings("ignore:The PN component")
def test_a_name_in_three_scripts_keeps_its_groups() -> None:
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.PatientName = "Zhang^San=张^三="
    (value,) = reading_attributes(STUDY, header, STATION, NOW)[tag_of("PatientName")]["Value"]
    assert value == {"Alphabetic": "Zhang^San", "Ideographic": "张^三"}
    header.PatientName = f"{'a' * 70}={'张' * 70}"
    (value,) = reading_attributes(STUDY, header, STATION, NOW)[tag_of("PatientName")]["Value"]
    assert value == {"Alphabetic": "a" * 64, "Ideographic": "张" * 64}  # 64 characters a group
