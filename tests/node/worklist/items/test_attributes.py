from __future__ import annotations

import pytest
from pydicom import Dataset

from node.worklist.items.attributes import REQUIREMENTS, check_creation, check_modification, missing_for, settable
from node.worklist.items.json_model import Json, from_dataset, has_value, items, put, tag_of, text
from node.worklist.items.states import State
from node.worklist.items.statuses import UpsRefused
from node.worklist.reading.data_set import reading_attributes
from tests.node.worklist.scu import NOW, STATION, STUDY, discontinued, performed, pushed

# PS3.4 Table CC.2.5-3, top level, as printed: N-CREATE, N-SET (SCU/SCP), Final State. "no": Not allowed.
PRINTED = """
TransactionUID                                  2/2   see   O
SOPClassUID                                     see   no    R
SOPInstanceUID                                  no    no    R
ScheduledProcedureStepPriority                  1/1   3/1   R
ScheduledProcedureStepModificationDateTime      -/1   -/1   R
ProcedureStepLabel                              1/1   3/1   O
WorklistLabel                                   2/1   3/1   O
ScheduledProcessingParametersSequence           2/2   3/2   O
ScheduledStationNameCodeSequence                2/2   3/2   O
ScheduledStationClassCodeSequence               2/2   3/2   O
ScheduledStationGeographicLocationCodeSequence  2/2   3/2   O
ScheduledHumanPerformersSequence                2C/2C 3/2   O
ScheduledProcedureStepStartDateTime             1/1   3/1   R
ExpectedCompletionDateTime                      3/1   3/1   O
ScheduledWorkitemCodeSequence                   2/2   3/1   O
CommentsOnTheScheduledProcedureStep             2/2   3/1   O
InputReadinessState                             1/1   3/1   R
InputInformationSequence                        2/2   3/2   O
StudyInstanceUID                                1C/2  3/2   O
PatientName                                     2/2   no    O
PatientID                                       1C/2  no    O
IssuerOfPatientID                               2/2   no    O
IssuerOfPatientIDQualifiersSequence             2/2   no    O
OtherPatientIDsSequence                         2/2   3/3   O
PatientBirthDate                                2/2   no    O
PatientSex                                      2/2   no    O
AdmissionID                                     2/2   no    O
IssuerOfAdmissionIDSequence                     2/2   no    O
AdmittingDiagnosesDescription                   2/2   no    O
AdmittingDiagnosesCodeSequence                  2/2   no    O
ReferencedRequestSequence                       2/2   no    O
ReplacedProcedureStepSequence                   1C/1C no    O
ProcedureStepState                              1/1   no    R
ProcedureStepProgressInformationSequence        2/2   3/2   X
UnifiedProcedureStepPerformedProcedureSequence  2/2   3/2   P
"""
ROWS = [line.split() for line in PRINTED.strip().splitlines()]
EMPTY_AT_FIRST = {
    "TransactionUID",
    "ProcedureStepProgressInformationSequence",
    "UnifiedProcedureStepPerformedProcedureSequence",
}


def wire(dataset: Dataset) -> Json:
    return from_dataset(dataset)[0]


@pytest.mark.parametrize(("keyword", "create", "modify", "final"), ROWS, ids=[row[0] for row in ROWS])
def test_the_rules_are_the_standards(keyword, create, modify, final):
    requirement = next(requirement for requirement in REQUIREMENTS if requirement.keyword == keyword)
    expected = {"1/1": "1", "2/2": "2", "2/1": "2", "1C/2": "C", "3/1": "3", "no": "-", "see": "S", "-/1": "S"}
    conditional = {"2C/2C": "3", "1C/1C": "3"}  # required only if there is a performer, or a replaced step
    assert requirement.create == ("0" if keyword in EMPTY_AT_FIRST else {**expected, **conditional}[create])
    assert requirement.modify == {"3/1": "1", "3/2": "2", "3/3": "2", "no": "-", "see": "S", "-/1": "S"}[modify]
    assert requirement.final == final


def test_no_rule_is_invented():
    assert [requirement.keyword for requirement in REQUIREMENTS] == [row[0] for row in ROWS]


@pytest.mark.parametrize(("keyword", "create"), [row[:2] for row in ROWS], ids=[row[0] for row in ROWS])
def test_our_own_items_meet_what_the_standard_asks_of_an_n_create(header, keyword, create):
    """CC.2.5.3: what the SCP makes itself must comply too. The Input Information comes when it is asked for."""
    attributes = reading_attributes(STUDY, header, STATION, NOW)
    if create in ("1/1", "2/1"):
        assert has_value(attributes, keyword)
    if create in ("2/2", "1C/2") and keyword not in ("TransactionUID", "InputInformationSequence"):
        assert tag_of(keyword) in attributes
    if keyword in EMPTY_AT_FIRST:
        assert not has_value(attributes, keyword)


def test_our_own_items_pass_our_own_check(header):
    attributes = reading_attributes(STUDY, header, STATION, NOW)
    checked, filled = check_creation(attributes, "other")
    assert filled == ("TransactionUID", "InputInformationSequence")
    assert text(checked, "WorklistLabel") == "READFIRST reading"


def test_a_careful_creation_is_taken_as_it_is():
    given = wire(pushed())
    checked, filled = check_creation(given, "READFIRST reading")
    assert filled == ()
    assert checked == given


@pytest.mark.parametrize("keyword", [row[0] for row in ROWS if row[1] == "1/1"])
def test_type_1_is_needed(keyword):
    given = wire(pushed())
    put(given, keyword)
    with pytest.raises(UpsRefused) as refusal:
        check_creation(given, "")
    assert (refusal.value.status, refusal.value.keyword) == (0x0121, keyword)
    del given[tag_of(keyword)]
    with pytest.raises(UpsRefused) as refusal:
        check_creation(given, "")
    assert (refusal.value.status, refusal.value.keyword) == (0x0120, keyword)


@pytest.mark.parametrize("keyword", [row[0] for row in ROWS if row[1] in ("2/2", "2/1")])
def test_type_2_is_filled_in(keyword):
    given = wire(pushed())
    del given[tag_of(keyword)]
    checked, filled = check_creation(given, "READFIRST reading")
    assert filled == (keyword,)
    assert has_value(checked, keyword) == (keyword == "WorklistLabel")


def refused(**values: object) -> tuple[int, str]:
    dataset = pushed()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    with pytest.raises(UpsRefused) as refusal:
        check_creation(wire(dataset), "")
    return int(refusal.value.status), refusal.value.keyword


def test_what_a_creation_may_not_say():
    assert refused(ProcedureStepState="IN PROGRESS") == (0xC309, "")
    assert refused(SOPInstanceUID="1.2") == (0x0106, "SOPInstanceUID")
    assert refused(TransactionUID="1.2") == (0x0106, "TransactionUID")
    assert refused(ScheduledProcedureStepPriority="STAT") == (0x0106, "ScheduledProcedureStepPriority")
    assert refused(InputReadinessState="SOON") == (0x0106, "InputReadinessState")
    progress = discontinued().ProcedureStepProgressInformationSequence
    keyword = "ProcedureStepProgressInformationSequence"
    assert refused(ProcedureStepProgressInformationSequence=progress) == (0x0106, keyword)
    incomplete = Dataset()
    incomplete.CodeValue = "1"
    assert refused(ScheduledWorkitemCodeSequence=[incomplete])[0] == 0x0120
    request = Dataset()
    request.AccessionNumber = "1"
    assert refused(ReferencedRequestSequence=[request]) == (0x0120, "StudyInstanceUID")


def test_what_the_scp_sets_itself_is_replaced():
    dataset = pushed()
    dataset.SOPClassUID = "1.2.3"
    dataset.ScheduledProcedureStepModificationDateTime = "1999"
    checked, _ = check_creation(wire(dataset), "")
    assert tag_of("SOPClassUID") not in checked
    assert tag_of("ScheduledProcedureStepModificationDateTime") not in checked


def test_items_of_a_request_are_filled_in():
    request = Dataset()
    request.StudyInstanceUID = STUDY
    dataset = pushed()
    dataset.ReferencedRequestSequence = [request]
    checked, filled = check_creation(wire(dataset), "")
    assert "AccessionNumber" in filled
    assert tag_of("AccessionNumber") in items(checked, "ReferencedRequestSequence")[0]


@pytest.mark.parametrize(("keyword", "modify"), [(row[0], row[2]) for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_may_be_set_and_what_may_be_emptied(keyword, modify):
    given: Json = {}
    put(given, keyword)
    if modify in ("3/2", "3/3", "see", "-/1"):
        check_modification(given)
    else:
        with pytest.raises(UpsRefused) as refusal:
            check_modification(given)
        assert refusal.value.status == (0x0106 if modify == "no" else 0x0121)
    assert (tag_of(keyword) in settable(given)) == (modify not in ("see", "-/1"))


def final(*datasets: Dataset) -> Json:
    attributes = wire(pushed())
    put(attributes, "SOPClassUID", "1.2")
    put(attributes, "SOPInstanceUID", "1.2")
    put(attributes, "ScheduledProcedureStepModificationDateTime", "2026")
    for dataset in datasets:
        attributes |= wire(dataset)
    return attributes


def test_final_state_requirements():
    assert missing_for(final(), State.COMPLETED) == "UnifiedProcedureStepPerformedProcedureSequence"
    assert missing_for(final(), State.CANCELED) == "ProcedureStepProgressInformationSequence"
    assert missing_for(final(performed()), State.COMPLETED) == ""
    assert missing_for(final(discontinued()), State.CANCELED) == ""


@pytest.mark.parametrize(
    "keyword",
    [
        "PerformedStationNameCodeSequence",
        "PerformedProcedureStepStartDateTime",
        "PerformedWorkitemCodeSequence",
        "PerformedProcedureStepEndDateTime",
        "OutputInformationSequence",
    ],
)
def test_each_part_of_what_was_performed_is_needed(keyword):
    dataset = performed()
    delattr(dataset.UnifiedProcedureStepPerformedProcedureSequence[0], keyword)
    assert missing_for(final(dataset), State.COMPLETED) == keyword


def test_a_canceled_item_needs_a_reason_code():
    dataset = discontinued()
    dataset.ProcedureStepProgressInformationSequence[0].ProcedureStepDiscontinuationReasonCodeSequence = []
    assert missing_for(final(dataset), State.CANCELED) == "ProcedureStepDiscontinuationReasonCodeSequence"
