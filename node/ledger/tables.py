"""The ledger's tables (SQLAlchemy Core). Times: seconds since 1970 UTC. `migrations` makes each change."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    true,
)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

UID = String(64)  # PS3.5 6.2, VR UI
AE = String(16)  # PS3.5 6.2, VR AE
ROW_ID = BigInteger().with_variant(Integer, "sqlite")

STUDY = Table(  # one row a study, in the state of its newest generation
    "study",
    METADATA,
    Column("study_instance_uid", UID, primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("state", String(16), nullable=False),  # node.entities.StudyState
    Column("reason", Text, nullable=False),  # why it is in this state, a sentence for people
    Column("evidence", Text, nullable=False),  # why it was taken for complete
    Column("calling_ae_title", AE, nullable=False),
    Column("first_received_at", Float, nullable=False),
    Column("last_received_at", Float, nullable=False),
    Column("queued_at", Float),
    Column("finished_at", Float),
    Column("sent_rank", Integer, nullable=False, default=1, server_default="1"),  # node.entities, by the DIMSE priority
    Column("header", JSON),  # what the worklist needs of a header, DICOM JSON Model; nothing until one could be read
    Column("queue_attempts", Integer, nullable=False, default=0, server_default="0"),  # to queue this generation
    Column("pinned", Boolean, nullable=False, default=False, server_default=false()),  # nothing of it is deleted
    Column("committed_at", Float),  # when a sender last requested storage commitment of it
    Column("deleting", String(16), nullable=False, default="", server_default=""),  # node.ledger.deletion
    Column("deletion", JSON(none_as_null=True)),  # why, by whom, what is gone already; while `deleting` is not empty
    Column("images_deleted_at", Float),  # none: there may be files; so with results and pictures
    Column("results_deleted_at", Float),
    Column("pictures_deleted_at", Float),
    Column("checked_at", Float),  # when it was last found that its images may not go yet
    Index(None, "state"),
    Index(None, "finished_at"),
    Index(None, "deleting"),
    Index(None, "images_deleted_at", "finished_at"),
    Index(None, "results_deleted_at", "finished_at"),
    Index(None, "pictures_deleted_at", "finished_at"),
)

INSTANCE = Table(  # one row a file on disk
    "instance",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("sop_instance_uid", UID, nullable=False),
    Column("sop_class_uid", UID, nullable=False),
    Column("series_instance_uid", UID, nullable=False),
    Column("study_instance_uid", UID, ForeignKey("study.study_instance_uid"), nullable=False),
    Column("transfer_syntax_uid", UID, nullable=False),
    Column("path", Text, nullable=False),  # relative to the data folder
    Column("sha256", String(64), nullable=False),  # of the Data Set's bytes as sent
    Column("size", BigInteger, nullable=False),
    Column("calling_ae_title", AE, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("patient_id", Text, nullable=False, default="", server_default=""),  # (0010,0020) as sent
    Column("generation", Integer, nullable=False),
    Column("conflict", Boolean, nullable=False),  # same UID, other content: kept beside, not analysed
    UniqueConstraint("study_instance_uid", "series_instance_uid", "sop_instance_uid", "sha256"),
    Index(None, "sop_instance_uid"),
)

FINDING = Table(  # what the models found in a generation
    "finding",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("study_instance_uid", UID, ForeignKey("study.study_instance_uid"), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("package", String(128), nullable=False),
    Column("label", String(64), nullable=False),
    Column("quantity", String(16), nullable=False),  # "probability" or "score"
    Column("probability", Float, nullable=False),
    Column("operating_point", Float, nullable=False),
    Column("present", Boolean, nullable=False),
    Column("place", Text, nullable=False),
    Column("urgency", String(8), nullable=False),
    Column("raises_priority", Boolean, nullable=False, default=True, server_default=true()),  # by the package's card
    Index(None, "study_instance_uid", "generation"),
)

PICTURE = Table(  # PNGs for the page for people, made with the newest generation's findings; node.entities.Picture
    "picture",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("study_instance_uid", UID, ForeignKey("study.study_instance_uid"), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("package", String(128), nullable=False),
    Column("sop_instance_uid", UID, nullable=False),
    Column("label", String(64), nullable=False),
    Column("caption", Text, nullable=False),
    Column("colour", String(7), nullable=False),
    Column("path", Text, nullable=False),  # relative to the data folder
    Index(None, "study_instance_uid"),
)

FEEDBACK = (
    Table(  # a reader's verdict on a finding; its values are copied, for findings are replaced when analysed anew
        "feedback",
        METADATA,
        Column("id", ROW_ID, primary_key=True, autoincrement=True),
        Column("study_instance_uid", UID, ForeignKey("study.study_instance_uid"), nullable=False),
        Column("generation", Integer, nullable=False),
        Column("package", String(128), nullable=False),
        Column("label", String(64), nullable=False),
        Column("quantity", String(16), nullable=False),
        Column("probability", Float, nullable=False),
        Column("operating_point", Float, nullable=False),
        Column("present", Boolean, nullable=False),
        Column("verdict", String(8), nullable=False),  # node.admin.feedback.Agreement
        Column("at", Float, nullable=False),
        UniqueConstraint("study_instance_uid", "generation", "package", "label"),
    )
)

RESULT = Table(  # one row a DICOM object that we made; the same UID is the same object
    "result",
    METADATA,
    Column("sop_instance_uid", UID, primary_key=True),
    Column("sop_class_uid", UID, nullable=False),
    Column("series_instance_uid", UID, nullable=False),
    Column("study_instance_uid", UID, ForeignKey("study.study_instance_uid"), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("package", String(128), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("path", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Index(None, "study_instance_uid"),
)

JOB = Table(  # whatever must happen later and survive a restart: one row a job; node.ledger.jobs
    "job",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),  # the order in which jobs were made; never given twice
    Column("kind", String(24), nullable=False),  # node.entities.JobKind
    Column("lane", String(64), nullable=False),  # a peer's table, an AE title, a sink: who gets it, or sent the study
    Column("key", String(160)),  # unique in its lane: put twice, it is one job; none where each put is another one
    Column("study_instance_uid", UID, nullable=False),  # empty where there is none
    Column("payload", JSON, nullable=False),  # what is to be done, as its kind needs it
    Column("reference", UID),  # by which the receiver knows it: Transaction UID, control ID, SOP Instance UID
    Column("state", String(16), nullable=False),  # node.entities.JobState
    Column("due_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("lease_until", Float),  # somebody does it until then
    Column("notified_at", Float),  # when the workers were last notified of it
    Column("last_error", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("done_at", Float),  # when the receiver took it
    UniqueConstraint("kind", "lane", "key"),
    Index(None, "kind", "state", "due_at"),
    Index(None, "study_instance_uid", "kind"),
    Index(None, "reference"),
    sqlite_autoincrement=True,
)

CIRCUIT = Table(  # a receiver that failed in the last attempts; no row: it took what it was sent; node.sending.circuits
    "circuit",
    METADATA,
    Column("lane", String(64), primary_key=True),  # of JOB
    Column("failures", Integer, nullable=False),  # in a row, of more than one study
    Column("study_instance_uid", UID, nullable=False),  # the study of the last one
    Column("last_error", Text, nullable=False),
    Column("since", Float, nullable=False),
    Column("probe_at", Float, nullable=False),  # before this time nothing is sent where the circuit is open
)

WORKER = Table(  # one row a process that analyses: whether it can; node.ledger.workers
    "worker",
    METADATA,
    Column("name", String(128), primary_key=True),  # host and process ID
    Column("ready", Boolean, nullable=False),
    Column("reason", Text, nullable=False),  # why it is not ready, or in which way it is less than it should be
    Column("since", Float, nullable=False),  # of this reason
    Column("beat_at", Float, nullable=False),  # when it last said so
)

WORK_ITEM = Table(  # Unified Procedure Steps, PS3.4 Annex CC
    "work_item",
    METADATA,
    Column("sop_instance_uid", UID, primary_key=True),
    Column("study_instance_uid", UID, nullable=False),  # empty where the item names no study
    Column("state", String(16), nullable=False),  # Procedure Step State (0074,1000)
    Column("priority", String(8), nullable=False),  # Scheduled Procedure Step Priority (0074,1200)
    Column("priority_source", String(16), nullable=False),  # node.worklist: default, triage or human
    Column("priority_reason", Text, nullable=False),
    Column("triage_priority", String(8), nullable=False),  # the most that triage asked for; empty: never spoke
    Column("transaction_uid", UID, nullable=False),  # empty unless IN PROGRESS or later
    Column("attributes", JSON, nullable=False),  # the whole Data Set, DICOM JSON Model (PS3.18 F)
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("pushed_by", String(64), nullable=False, default="", server_default=""),  # AE title or address; empty: we
    Index(None, "study_instance_uid"),
    Index(None, "state", "priority", "created_at"),
    Index(None, "updated_at"),
    Index(None, "pushed_by"),
)

IMAGING_ORDER = Table(  # what HL7 senders have ordered; of the patient nothing
    "imaging_order",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("placer_number", String(250), nullable=False),  # ORC-2, empty where there is none
    Column("filler_number", String(250), nullable=False),  # ORC-3
    Column("accession_number", String(64), nullable=False),
    Column("study_instance_uid", UID, nullable=False),
    Column("priority", String(8), nullable=False),  # HIGH, MEDIUM or LOW
    Column("ordered_as", String(20), nullable=False),  # the sender's word: S, A, R, …
    Column("canceled", Boolean, nullable=False),
    Column("sender", String(255), nullable=False),  # MSH-3
    Column("control_id", String(199), nullable=False),  # MSH-10 of the latest message
    Column("received_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("placer_number", "filler_number", "accession_number", "study_instance_uid"),
    Index(None, "accession_number"),
    Index(None, "study_instance_uid"),
)

GLOBAL_SUBSCRIPTION = Table(  # Global Subscription State of a subscriber, PS3.4 CC.2.3; no row: none
    "global_subscription",
    METADATA,
    Column("ae_title", AE, primary_key=True),
    Column("web", Boolean, primary_key=True),  # by UPS-RS (PS3.18 11.10): notified over its WebSocket
    Column("filtered", Boolean, primary_key=True),  # by 1.2.840.10008.5.1.4.34.5.1
    Column("locked", Boolean, nullable=False),  # with Deletion Lock
    Column("matching_keys", JSON, nullable=False),  # DICOM JSON Model, empty unless filtered
)

SUBSCRIPTION = Table(  # UPS Subscription State of a subscriber and a work item; no row: not subscribed
    "subscription",
    METADATA,
    Column("ae_title", AE, primary_key=True),
    Column("web", Boolean, primary_key=True),
    Column("sop_instance_uid", UID, ForeignKey("work_item.sop_instance_uid"), primary_key=True),
    Column("locked", Boolean, nullable=False),
    Column("filtered", Boolean, nullable=False),  # made by a filtered global subscription, which takes it away again
    Index(None, "sop_instance_uid"),
)

DECISION = Table(  # what triage decided of a study, and of what; shown by `readfirst study`
    "decision",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("study_instance_uid", UID, ForeignKey("study.study_instance_uid"), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("asked", String(8), nullable=False),  # the priority by the findings of all packages
    Column("given", String(8), nullable=False),  # what the worklist was given; empty: nothing
    Column("category", Integer),  # ACR category of what was asked; none without a finding
    Column("outcome", String(8), nullable=False),  # node.worklist.triage.policy.Outcome
    Column("waiting", Boolean, nullable=False),  # for the alert budget
    Column("alerted", Boolean, nullable=False),  # it raised a work item to HIGH
    Column("reason", Text, nullable=False),
    Column("inputs", JSON, nullable=False),  # all that the verdict was made of
    Index(None, "study_instance_uid"),
    Index(None, "at"),
    Index(None, "waiting"),
)

EVENT = Table(  # the story of a study, shown by `readfirst study`
    "event",
    METADATA,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("study_instance_uid", UID, nullable=False),
    Column("at", Float, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Index(None, "study_instance_uid", "at"),
)

AUDITED = Table(  # until when audit messages cover what a peer sent of a study; node.audit.unaudited
    "audited",
    METADATA,
    Column("study_instance_uid", UID, primary_key=True),
    Column("calling_ae_title", AE, primary_key=True),
    Column("until", Float, nullable=False),
)
