"""What the tests of the worklist say to the SCP."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.uid import generate_uid
from pynetdicom import Association

from node.worklist.reading.data_set import Station
from node.worklist.ups.scp import SOP_CLASSES
from node.worklist.ups.watch import Watching

PUSH, WATCH, PULL, QUERY = SOP_CLASSES
STUDY = "1.2.826.0.1.3680043.10.1"
NOW = 1_790_000_000.0
STATION = Station(retrieve_ae_title="PACS")
WATCHING = Watching(("READER", "MONITOR").__contains__)
LOCK = "1.2.826.0.1.3680043.10.77"
OTHER = "1.2.826.0.1.3680043.10.78"


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def pushed(priority: str = "LOW", study: str = STUDY) -> Dataset:
    """A complete Attribute List for N-CREATE, as a careful SCU sends it."""
    item = Dataset()
    item.TransactionUID = ""
    item.ScheduledProcedureStepPriority = priority
    item.ProcedureStepLabel = "Second reading"
    item.WorklistLabel = "CHEST"
    for keyword in (
        "ScheduledProcessingParametersSequence", "ScheduledStationNameCodeSequence",
        "ScheduledStationClassCodeSequence", "ScheduledStationGeographicLocationCodeSequence",
        "InputInformationSequence", "IssuerOfPatientIDQualifiersSequence", "OtherPatientIDsSequence",
        "IssuerOfAdmissionIDSequence", "AdmittingDiagnosesCodeSequence", "ProcedureStepProgressInformationSequence",
        "UnifiedProcedureStepPerformedProcedureSequence", "ReferencedRequestSequence",
    ):  # fmt: skip
        setattr(item, keyword, [])
    for keyword in ("IssuerOfPatientID", "AdmissionID", "AdmittingDiagnosesDescription"):
        setattr(item, keyword, "")
    item.ScheduledProcedureStepStartDateTime = "20260921120000+0000"
    item.ScheduledWorkitemCodeSequence = [code("110005", "DCM", "Interpretation")]
    item.CommentsOnTheScheduledProcedureStep = ""
    item.InputReadinessState = "READY"
    item.StudyInstanceUID = study
    item.PatientName = "Doe^Jane"
    item.PatientID = "HUSH-0815"
    item.PatientBirthDate = ""
    item.PatientSex = ""
    item.ProcedureStepState = "SCHEDULED"
    return item


def performed() -> Dataset:
    """What a performer N-SETs before COMPLETED."""
    step = Dataset()
    step.PerformedStationNameCodeSequence = [code("RS1", "99X", "Reading room 1")]
    step.PerformedProcedureStepStartDateTime = "20260921120000+0000"
    step.PerformedProcedureStepEndDateTime = "20260921120500+0000"
    step.PerformedWorkitemCodeSequence = [code("110005", "DCM", "Interpretation")]
    step.OutputInformationSequence = []
    item = Dataset()
    item.UnifiedProcedureStepPerformedProcedureSequence = [step]
    return item


def discontinued() -> Dataset:
    """What a performer N-SETs before CANCELED."""
    progress = Dataset()
    progress.ProcedureStepDiscontinuationReasonCodeSequence = [code("110510", "DCM", "Duplicate order")]
    item = Dataset()
    item.ProcedureStepProgressInformationSequence = [progress]
    return item


def change(state: str, transaction: str | None) -> Dataset:
    information = Dataset()
    information.ProcedureStepState = state
    if transaction is not None:
        information.TransactionUID = transaction
    return information


def watch(
    association: Association, action: int, uid: str, receiver: str = "READER", lock: str = "FALSE", **keys: object
) -> int:
    """N-ACTION 3, 4 or 5: subscribe, unsubscribe, suspend."""
    information = Dataset()
    information.ReceivingAE = receiver
    if action == 3:
        information.DeletionLock = lock
    for keyword, value in keys.items():
        setattr(information, keyword, value)
    status, _ = association.send_n_action(information, action, PUSH, uid, meta_uid=WATCH)
    return int(status.Status)


def create(association: Association, **options: str) -> str:
    """Push a work item; its UID."""
    uid = generate_uid()
    status, _ = association.send_n_create(pushed(**options), PUSH, uid)
    assert status.Status == 0x0000
    return uid


def act(association: Association, uid: str, state: str, transaction: str | None) -> int:
    """N-ACTION 1, Change UPS State."""
    status, _ = association.send_n_action(change(state, transaction), 1, PUSH, uid, meta_uid=PULL)
    return int(status.Status)


def set_values(association: Association, uid: str, values: Dataset, transaction: str | None = None) -> int:
    """N-SET."""
    if transaction is not None:
        values.TransactionUID = transaction
    status, _ = association.send_n_set(values, PUSH, uid, meta_uid=PULL)
    return int(status.Status)


def get(association: Association, uid: str, *keywords: str) -> Dataset:
    """N-GET."""
    tags = [tag(keyword) for keyword in keywords]
    status, attributes = association.send_n_get(tags, PUSH, uid, meta_uid=PULL)
    assert status.Status == 0x0000
    return attributes


def tag(keyword: str) -> int:
    found = tag_for_keyword(keyword)
    assert found is not None
    return found


def find(association: Association, sop_class: str = PULL, **keys: object) -> tuple[list[Dataset], int]:
    """C-FIND: the matches and the last status."""
    identifier = Dataset()
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    matches, last = [], -1
    for status, answer in association.send_c_find(identifier, sop_class):
        last = int(status.Status)
        if answer is not None:
            matches.append(answer)
    return matches, last


def reach(association: Association, state: str) -> str:
    """A work item in that state, locked with LOCK if it was ever claimed; a made-up UID for no state at all."""
    if state == "none":
        return generate_uid()
    uid = create(association)
    if state != "SCHEDULED":
        assert act(association, uid, "IN PROGRESS", LOCK) == 0x0000
    if state == "COMPLETED":
        assert set_values(association, uid, performed(), LOCK) == 0x0000
    if state == "CANCELED":
        assert set_values(association, uid, discontinued(), LOCK) == 0x0000
    if state in ("COMPLETED", "CANCELED"):
        assert act(association, uid, state, LOCK) == 0x0000
    return uid
