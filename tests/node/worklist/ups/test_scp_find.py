from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import Association
from pynetdicom.dimse_primitives import C_FIND

from node.ledger.engine import Ledger
from node.worklist.items.priority import Priority, RequestedPriority
from node.worklist.reading.work_items import ensure_item, raise_priority
from tests.node.worklist.scu import (
    LOCK,
    NOW,
    PULL,
    PUSH,
    QUERY,
    STATION,
    code,
    create,
    find,
    get,
    pushed,
    reach,
    tag,
)

Scp = Callable[[], Association]


def test_triage_moves_a_study_up_the_list_that_a_reader_sees(scp: Scp, served: Ledger, header: Dataset) -> None:
    association = scp()
    with served.write() as connection:
        for number, study in enumerate(("1.1", "1.2", "1.3")):
            header.StudyInstanceUID = study
            ensure_item(connection, header, NOW + number, STATION)
    before, _ = find(association, StudyInstanceUID="")
    with served.write() as connection:
        raise_priority(connection, "1.3", RequestedPriority(Priority.HIGH, "Pneumothorax"), NOW)
    after, _ = find(association, StudyInstanceUID="", ScheduledProcedureStepPriority="")
    assert [item.StudyInstanceUID for item in before] == ["1.1", "1.2", "1.3"]
    assert [item.StudyInstanceUID for item in after] == ["1.3", "1.1", "1.2"]
    assert after[0].ScheduledProcedureStepPriority == "HIGH"


def test_get_says_what_was_asked_but_never_the_lock(scp: Scp) -> None:
    association = scp()
    uid = reach(association, "IN PROGRESS")
    answer, item = association.send_n_get([tag("TransactionUID"), tag("PatientID")], PUSH, uid, meta_uid=PULL)
    assert answer.Status == 0x0001
    assert [element.keyword for element in item] == ["PatientID"]
    assert "TransactionUID" not in get(association, uid)
    assert "TransactionUID" not in find(association, TransactionUID="", PatientID="")[0][0]
    assert LOCK not in str(find(association, QUERY, PatientID="", StudyInstanceUID=""))
    answer, _ = association.send_n_get([tag("PatientID")], PUSH, "1.2.3", meta_uid=PUSH)
    assert answer.Status == 0xC307


def test_find_in_both_classes_by_sequence_and_wildcard(scp: Scp) -> None:
    association = scp()
    uid = create(association)
    wanted = Dataset()
    wanted.CodeValue, wanted.CodingSchemeDesignator = "110005", "DCM"
    for sop_class in (PULL, QUERY):
        (answer,), status = find(
            association, sop_class, ScheduledWorkitemCodeSequence=[wanted], WorklistLabel="CH*", SOPInstanceUID="",
            SOPClassUID="", ScheduledProcedureStepStartDateTime="20260921-", PatientName="doe^*", AdmissionID="",
        )  # fmt: skip
        assert status == 0x0000
        assert answer.SOPInstanceUID == uid
        assert answer.SOPClassUID == PUSH
        assert answer.ScheduledWorkitemCodeSequence[0].CodeValue == "110005"
        assert "CodeMeaning" not in answer.ScheduledWorkitemCodeSequence[0]
        assert answer.AdmissionID is None or answer.AdmissionID == ""
        assert "PatientID" not in answer
    assert find(association, WorklistLabel="ABDOMEN") == ([], 0x0000)


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192"])
def test_names_beyond_ascii(scp: Scp, charset: str) -> None:
    association, item = scp(), pushed()
    item.SpecificCharacterSet, item.PatientName = charset, "Müller^Änne"
    assert association.send_n_create(item, PUSH, generate_uid())[0].Status == 0x0000
    (answer,), _ = find(association, SpecificCharacterSet=charset, PatientName="MÜLLER*")
    assert answer.PatientName == "Müller^Änne"
    assert answer.SpecificCharacterSet == "ISO_IR 192"
    (plain,), _ = find(association, PatientID="")
    assert "SpecificCharacterSet" not in plain


def test_bad_identifiers_and_the_association_goes_on(scp: Scp) -> None:
    association = scp()
    create(association)
    two = [code("1", "99X", "one"), code("2", "99X", "two")]
    assert find(association, ScheduledWorkitemCodeSequence=two) == ([], 0xA900)
    assert find(association, WorklistLabel="", PatientBirthDate="19600231") == ([], 0xA900)
    assert find(association, SpecificCharacterSet="ISO_IR 100") == ([], 0xA900)
    statuses = [status.Status for status, _ in _find_bytes(association, b"\x10\x00\x20\x00\xff\x00\x00\x00x")]
    assert statuses == [0xC000]
    assert len(find(association, PatientID="")[0]) == 1


def _find_bytes(association: Association, identifier: bytes) -> list[tuple[Dataset, None]]:
    context = next(cx for cx in association.accepted_contexts if cx.abstract_syntax == PULL)
    request = C_FIND()
    request.MessageID, request.AffectedSOPClassUID, request.Priority = 7, PULL, 2
    request.Identifier = BytesIO(identifier)
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(request, context.context_id)
    answers = list(association._wrap_find_responses(context.transfer_syntax[0], PULL))
    association._reactor_checkpoint.set()
    return answers


def test_find_can_be_cancelled(scp: Scp, served: Ledger, header: Dataset) -> None:
    with served.write() as connection:
        for number in range(2000):
            header.StudyInstanceUID = f"1.9.{number}"
            ensure_item(connection, header, NOW + number, STATION)
    association, statuses = scp(), []
    wanted = Dataset()
    wanted.StudyInstanceUID = ""
    for status, _ in association.send_c_find(wanted, PULL, msg_id=5):
        if not statuses:
            association.send_c_cancel(5, query_model=PULL)
        statuses.append(status.Status)
    assert statuses[-1] == 0xFE00
    assert len(statuses) < 2000


def test_the_input_is_returned_where_it_is_asked_for(scp: Scp, served: Ledger, header: Dataset) -> None:
    with served.write() as connection:
        uid = ensure_item(connection, header, NOW, STATION)
    association = scp()
    assert "InputInformationSequence" in get(association, uid)
    assert "InputInformationSequence" in find(association, InputInformationSequence=[], PatientID="")[0][0]
