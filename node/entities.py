"""The nouns that cross module borders, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

HIGH, MEDIUM, LOW = 0, 1, 2  # how urgent a study is, the most urgent first
BY_DIMSE_PRIORITY: Mapping[int, int] = {1: HIGH, 0: MEDIUM, 2: LOW}  # Priority (0000,0700), PS3.7 9.1.1.1
QUARANTINE = "quarantine"  # the folder, below the data folder, of our objects that did not pass our own checks


class StudyState(StrEnum):
    """Where a study (its newest generation) stands."""

    RECEIVING = "receiving"
    QUEUED = "queued"
    ANALYSING = "analysing"
    ANALYSED = "analysed"
    NOT_ANALYSED = "not analysed"  # a normal outcome, with a reason
    FAILED = "failed"


FINISHED = (StudyState.ANALYSED, StudyState.NOT_ANALYSED, StudyState.FAILED)


class Part(StrEnum):
    """What is kept of a study, and deleted by itself."""

    IMAGES = "images"  # the instances as received, and their rows
    RESULTS = "results"  # the files of our objects; what became of them stays known
    PICTURES = "pictures"  # of the page for people
    QUARANTINE = "quarantine"  # our objects that did not pass our own checks
    ROWS = "rows"  # all that the ledger has of the study


class JobKind(StrEnum):
    """What a job is for."""

    ANALYSIS = "analysis"  # of a study's generation
    DELIVERY = "delivery"  # one of our objects to a peer
    NOTICE = "notice"  # a raised priority to a worklist sink
    EVENT_REPORT = "event report"  # of a work item to a subscriber, over associations that we open (PS3.4 CC.2.4)
    WEB_EVENT_REPORT = "web event report"  # the same over the WebSocket that the subscriber opened (PS3.18 8.10)
    COMMITMENT_RESULT = "commitment result"  # to a sender that requested storage commitment (PS3.4 J.3.3)
    AUDIT_MESSAGE = "audit message"  # to an audit sink
    AUDIT_RECOVERY = "audit recovery"  # messages of what was received before the node was killed


class JobState(StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    STORED = "stored"  # the peer answered Success to C-STORE; it is not proven yet that it keeps it
    DELIVERED = "delivered"
    SUPERSEDED = "superseded"  # a newer generation, priority or person replaced it before it was sent
    STANDBY = "standby"  # sent only where the peer refuses the class of what it stands in for
    REFUSED = "refused"  # the peer does not take its SOP class; what stands in for it is sent instead
    QUARANTINED = "quarantined"  # it did not pass our own checks and is never sent
    REJECTED = "rejected"  # the receiver refuses it as it is; only a person tries it again
    FAILED = "failed"  # it failed by itself as often as it may


@dataclass(frozen=True, slots=True)
class InstanceKey:
    """The identity of an instance, each UID validated (PS3.5 9.1), and the Patient ID that it was sent with."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    patient_id: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An instance that is on disk.

    `path` is relative to the data folder; `sha256` is over the Data Set's bytes as sent, without File Meta Information.
    """

    key: InstanceKey
    transfer_syntax_uid: str
    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class FoundFinding:
    """One finding of an analysis, as status pages and triage need it."""

    package: str
    label: str
    quantity: str  # "probability" or "score"
    probability: float
    operating_point: float
    present: bool
    place: str
    urgency: str  # HIGH, MEDIUM or LOW
    raises_priority: bool = True  # whether the package's card lets this finding raise the priority


@dataclass(frozen=True, slots=True)
class ResultObject:
    """A DICOM object that we made and that lies on disk, ready to be sent unless it has a `fault`."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    package: str
    kind: str  # a file of workers.results.kinds
    path: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG for the page for people: an image that a model saw, or (with `label`) the regions of one finding on it."""

    package: str
    sop_instance_uid: str  # of the image
    label: str  # empty: the image itself
    caption: str  # of an image: how it is shown; of an overlay: where the regions are
    colour: str  # of an overlay, "#rrggbb"
    path: str


@dataclass(frozen=True, slots=True)
class AnalysisReport:
    """What an analysis hands to the ledger.

    `reason` explains NOT_ANALYSED, FAILED, and ANALYSED without any finding; `left_out` are (SOP Instance UID, reason)
    pairs.
    """

    state: StudyState
    reason: str = ""
    findings: tuple[FoundFinding, ...] = ()
    results: tuple[ResultObject, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = field(default=())
    pictures: tuple[Picture, ...] = ()
