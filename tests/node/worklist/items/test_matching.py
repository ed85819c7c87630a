from __future__ import annotations

import pytest
from pydicom import Dataset

from node.worklist.items.json_model import Json, from_dataset, put
from node.worklist.items.matching import compile_query
from node.worklist.items.statuses import UpsRefused
from tests.node.worklist.scu import STUDY, code, pushed


def item(**changes: object) -> Json:
    dataset = pushed()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    request = Dataset()
    request.StudyInstanceUID = STUDY
    request.AccessionNumber = "ACC7"
    request.RequestedProcedureID = "P1"
    dataset.ReferencedRequestSequence = [request]
    dataset.PatientName = "Müller^Änne=山田^太郎"
    dataset.PatientBirthDate = "19600229"
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return from_dataset(dataset)[0]


def keys(**wanted: object) -> Json:
    json: Json = {}
    for keyword, value in wanted.items():
        put(json, keyword, *(value if isinstance(value, list) else [value]))
    return json


def found(attributes: Json | None = None, **wanted: object) -> bool:
    return compile_query(keys(**wanted)).test(attributes or item())


@pytest.mark.parametrize(
    ("keyword", "value", "matches"),
    [
        ("PatientID", "", True),  # universal
        ("PatientID", "*", True),
        ("AdmissionID", "*", True),  # universal also where there is no value
        ("PatientID", "HUSH-0815", True),
        ("PatientID", "081", False),
        ("PatientID", "HUSH*", True),
        ("PatientID", "HUSH-0?15", True),
        ("PatientID", "0?5", False),
        ("WorklistLabel", "chest", False),  # case counts
        ("WorklistLabel", "[C]HEST", False),  # brackets are brackets
        ("ProcedureStepLabel", "Second*", True),
        ("ScheduledProcedureStepPriority", "LOW", True),
        ("ScheduledProcedureStepPriority", ["HIGH", "LOW"], True),
        ("ScheduledProcedureStepPriority", "HIGH", False),
        ("StudyInstanceUID", ["1.2.3", STUDY], True),  # list of UID
        ("StudyInstanceUID", ["1.2.3"], False),
        ("StudyInstanceUID", "1.2.826.*", False),  # no wildcards in UIDs
        ("PatientName", "müller^*", True),  # names: case does not count, any script
        ("PatientName", "山田*", True),
        ("PatientName", "Müller^Änne^", True),
        ("PatientName", "Mueller*", False),
        ("PatientBirthDate", "19600229", True),
        ("PatientBirthDate", "19600101-19601231", True),
        ("PatientBirthDate", "-19591231", False),
        ("AdmissionID", "1", False),  # no value matches no key
        ("ScheduledProcedureStepStartDateTime", "20260921", True),
        ("ScheduledProcedureStepStartDateTime", "20260921110000+0000-20260921130000+0000", True),
        ("ScheduledProcedureStepStartDateTime", "20260921140000+0200", True),
        ("ScheduledProcedureStepStartDateTime", "20260922-", False),
    ],
)
def test_attribute_matching(keyword, value, matches):
    assert found(**{keyword: value}) is matches


def test_every_key_must_match():
    assert found(PatientID="HUSH-0815", ScheduledProcedureStepPriority="LOW")
    assert not found(PatientID="HUSH-0815", ScheduledProcedureStepPriority="HIGH")


def test_the_zone_of_the_query_counts():
    at_two = keys(ScheduledProcedureStepStartDateTime="20260921140000", TimezoneOffsetFromUTC="+0200")
    at_twelve = keys(ScheduledProcedureStepStartDateTime="20260921120000", TimezoneOffsetFromUTC="+0200")
    assert compile_query(at_two).test(item())
    assert not compile_query(at_twelve).test(item())


def test_sequence_matching():
    wanted = keys(AccessionNumber="ACC*", RequestedProcedureID="")
    assert found(ReferencedRequestSequence=wanted)
    assert not found(ReferencedRequestSequence=keys(AccessionNumber="B*"))
    assert found(ReferencedRequestSequence=keys(AccessionNumber=""))
    assert found(ScheduledWorkitemCodeSequence=keys(CodeValue="110005", CodingSchemeDesignator="DCM"))
    performer = keys(HumanPerformerCodeSequence=keys(CodeValue="7"))
    assert not found(ScheduledHumanPerformersSequence=performer)
    someone = Dataset()
    someone.HumanPerformerCodeSequence = [code("7", "99X", "Dr. Seven")]
    assert found(item(ScheduledHumanPerformersSequence=[someone]), ScheduledHumanPerformersSequence=performer)


def test_the_answer_holds_what_was_asked_for_and_nothing_else():
    asked = keys(PatientID="", AdmissionID="", ReferencedRequestSequence=keys(AccessionNumber=""))
    answer = compile_query(asked).response(item())
    request = {"00080050": {"vr": "SH", "Value": ["ACC7"]}}
    assert answer == {
        "00100020": {"vr": "LO", "Value": ["HUSH-0815"]},
        "00380010": {"vr": "LO"},
        "0040A370": {"vr": "SQ", "Value": [request]},
    }


def test_an_empty_sequence_key_returns_the_whole_sequence():
    asked = keys(PatientID="")
    put(asked, "ReferencedRequestSequence")
    assert compile_query(asked).response(item())["0040A370"] == item()["0040A370"]


def test_the_transaction_uid_cannot_be_queried():
    query = compile_query(keys(TransactionUID="1.2.3", PatientID=""))
    assert query.unsupported
    assert query.test(item())
    assert "00081195" not in query.response(item() | keys(TransactionUID="1.2.3"))
    assert not compile_query(keys(PatientID="")).unsupported
    assert compile_query(keys(PatientID=""), dropped=("00091001",)).unsupported


@pytest.mark.parametrize(
    "identifier",
    [
        {},
        keys(ScheduledProcedureStepStartDateTime="tomorrow"),
        keys(PatientBirthDate="19600231"),
        keys(ReferencedRequestSequence=[keys(AccessionNumber="1"), keys(AccessionNumber="2")]),
    ],
)
def test_a_bad_identifier_is_refused(identifier):
    with pytest.raises(UpsRefused) as refusal:
        compile_query(identifier)
    assert refusal.value.status == 0xA900


def test_many_asterisks_do_not_stop_the_node():
    """A backtracking expression would need years for this one."""
    long = item(CommentsOnTheScheduledProcedureStep="a" * 10000)
    assert not found(long, CommentsOnTheScheduledProcedureStep="*a" * 40 + "b")


@pytest.mark.parametrize(
    ("wanted", "clauses"),
    [
        ({"ScheduledProcedureStepPriority": "HIGH", "ProcedureStepState": "SCHEDULED", "PatientID": "1"}, 2),
        ({"ProcedureStepState": "SCHED*"}, 0),
        ({"StudyInstanceUID": STUDY, "SOPInstanceUID": "1.2"}, 2),
        ({"PatientID": "1"}, 0),
    ],
)
def test_what_the_database_finds_by_itself(wanted, clauses):
    assert len(compile_query(keys(**wanted)).where) == clauses
