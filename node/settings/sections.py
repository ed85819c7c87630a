"""The tables of `readfirst.toml`, each with its keys, their defaults and what they may be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    StringConstraints,
    field_validator,
    model_validator,
)

from node.hl7.charsets import known_character_set

LOOPBACK = ("127.0.0.1", "::1", "localhost")

AETitle = Annotated[str, StringConstraints(min_length=1, max_length=16, pattern=r"^[ -\[\]-~]*[!-\[\]-~][ -\[\]-~]*$")]
Charset = Annotated[str, AfterValidator(known_character_set)]
Port = Annotated[int, Field(ge=1, le=65535)]
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?", re.IGNORECASE)
_VIEWER = re.compile(r"https?://[^\s{}]*\{StudyInstanceUID\}[^\s{}]*")
_TOKEN_LENGTH = 16  # characters
_GUESSABLE = f"web.token has fewer than {_TOKEN_LENGTH} characters and can be guessed: choose a longer, random one"
_READABLE = (
    "others than this machine reach the page without TLS: token and patients' names can be read on the way; "
    'set web.tls, or web.public_url = "https://…" where a reverse proxy speaks TLS'
)


class Section(BaseModel):
    """A table of the configuration file: frozen, and it has no other key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Tls(Section):
    """Mutual TLS of the SCP and of associations to peers that ask for it (PS3.15 B.12)."""

    certificate: Path
    key: Path
    ca: Path


class Node(Section):
    """Who we are on the DICOM network, and what we accept."""

    ae_title: AETitle = "READFIRST"
    host: str = "127.0.0.1"
    port: Port = 11112
    data: Path = Path("var")
    tls: Tls | None = None
    quiet_seconds: float = Field(2.0, ge=0.0, le=86400.0)
    accept_unknown: bool = False
    max_associations: int = Field(10, ge=1, le=1000)
    max_pdu: int = Field(262144, ge=4096, le=4194304)  # bytes, 0 (unlimited) is not offered
    network_timeout: float = Field(60.0, gt=0.0)  # seconds without a byte before an association is aborted
    min_free_mb: int = Field(1024, ge=0)  # below this much free space instances are refused with 0xA700


class Queue(Section):
    """The message queue; an empty URL means the embedded Redis of `readfirst up`."""

    url: str = ""


class Database(Section):
    """The ledger; an empty URL means SQLite below `node.data`."""

    url: str = ""


class WebTls(Section):
    """The certificate of the page for people."""

    certificate: Path
    key: Path


class Web(Section):
    """The page for people, and UPS-RS."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)  # 0: no page is served
    token: str = ""
    tls: WebTls | None = None
    public_url: str = ""  # what people type where it is not host and port: behind a reverse proxy, or by a name
    viewer_url: str = ""  # of the hospital's viewer, with {StudyInstanceUID}

    @model_validator(mode="after")
    def _token_off_loopback(self) -> Web:
        if (self.host not in LOOPBACK or self.public_url) and not self.token:
            raise ValueError("web.token is required where others than this machine can reach the page")
        return self

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed, and what whoever runs the node should know of it; sentences."""
        public = self.host not in LOOPBACK or self.public_url
        readable = public and not self.tls and not self.public_url.startswith("https:")
        guessable = self.token and len(self.token) < _TOKEN_LENGTH
        return tuple(said for said, holds in ((_READABLE, readable), (_GUESSABLE, guessable)) if self.port and holds)

    @field_validator("public_url")
    @classmethod
    def _is_an_origin(cls, value: str) -> str:
        if value and not _ORIGIN.fullmatch(value):
            raise ValueError("write it as https://readfirst.example or https://readfirst.example:8443")
        return value.lower()

    @field_validator("viewer_url")
    @classmethod
    def _names_the_study(cls, value: str) -> str:
        if value and not _VIEWER.fullmatch(value):
            raise ValueError("write it as https://viewer.example/viewer?StudyInstanceUIDs={StudyInstanceUID}")
        return value


class Peer(Section):
    """One DICOM peer: what it may send us and what it gets from us. With `folder` it is a directory, not a node."""

    ae_title: AETitle = "ANY"
    host: str = ""
    port: Port = 104
    folder: Path | None = None  # results are written here instead of being sent
    send: tuple[Literal["images"], ...] = ()
    receive: tuple[Literal["results"], ...] = ()
    query: bool = False
    worklist: tuple[Literal["read", "change"], ...] = ()  # what it may do as SCU of our Unified Procedure Steps
    addresses: tuple[IPvAnyNetwork, ...] = ()  # it may call from there alone; empty: from everywhere
    certificate: str = ""  # a name that the certificate must carry with which it calls; empty: any of node.tls.ca
    tls: bool = False
    viewer: str = "ohif"  # a profile of workers.delivery.viewers
    also: tuple[str, ...] = ()  # kinds of workers.results.kinds

    @model_validator(mode="after")
    def _address_or_folder(self) -> Peer:
        calls = self.send or self.query or self.worklist or self.addresses or self.certificate
        if self.folder and (self.host or calls):
            raise ValueError(
                "a peer with `folder` only receives: give neither host, send, query, worklist, addresses, certificate"
            )
        if not self.folder and not self.host:
            raise ValueError("give host and port (a DICOM node) or folder (a directory that gets the results)")
        if not self.folder and "ae_title" not in self.model_fields_set:
            raise ValueError("ae_title is missing: the AE title that this peer calls itself")
        return self


class Models(Section):
    """Which model packages analyse, where further ones lie, and what an analysis may use."""

    packages: tuple[str, ...] = ("chest-xray", "chest-ct")
    folder: Path | None = None  # further packages; default: `models` below node.data
    device: str = "auto"  # auto, cpu, cuda, cuda:1, …
    time_limit: float = Field(600.0, ge=10.0)  # seconds, one study
    decode_seconds: float = Field(60.0, gt=0.0)  # seconds, one instance
    decode_memory_mb: int = Field(4096, ge=256)


class Results(Section):
    """How results are worded, and whether others are made to stand in for those that a peer may refuse."""

    language: Literal["en", "zh"] = "en"
    font: Path | None = None  # TrueType or OpenType; default: DejaVu Sans, which draws no Chinese
    fallback: bool = True


class Rule(Section):
    """One row of the policy: a finding that is present, in such a patient, makes its study so urgent."""

    finding: str  # a label of a package's card; * is any
    priority: Literal["HIGH", "MEDIUM", "LOW"]
    category: Literal[1, 2, 3] | None = None  # ACR: to be told within minutes, hours, days; default: by priority
    package: str = "*"
    patients: Literal["any", "child", "adult"] = "any"
    at_least: float = Field(0.0, ge=0.0, le=1.0)  # probability or score, where the card's operating point is not enough


class Policy(Section):
    """How findings become priorities; the first rule that fits a finding counts, else its card's urgency."""

    rules: tuple[Rule, ...] = ()
    shadow: tuple[str, ...] = ()  # packages whose findings raise nothing: computed and recorded only; * is all
    alerts_an_hour: int = Field(12, ge=0)  # studies raised to HIGH; the next ones wait as MEDIUM; 0: no limit
    stuck_studies: int = Field(20, ge=1)  # a package that made more than this share of its last so many studies
    stuck_share: float = Field(0.8, gt=0.0, le=1.0)  # HIGH is taken for stuck, and is in shadow mode until it stops
    late_hours: float = Field(24.0, gt=0.0)  # a study that came longer ago is no longer raised to HIGH
    head_start_hours: tuple[float, float] = (24.0, 8.0)  # of HIGH before MEDIUM, of MEDIUM before LOW
    keep_days: float = Field(90.0, gt=0.0)  # work items that ended so long ago, and that no Deletion Lock keeps, go


SinkName = Literal["ups", "hl7", "webhook"]
Priorities = dict[Literal["HIGH", "MEDIUM", "LOW"], Annotated[str, StringConstraints(min_length=1, max_length=20)]]


class UpsSink(Section):
    """An external Unified Procedure Step SCP (PS3.4 Annex CC) that is told of raised priorities."""

    peer: str  # a [peers.…] table


class Hl7Sink(Section):
    """An HL7 v2 receiver over MLLP, and what it is told."""

    host: str
    port: Port = 2575
    tls: bool = False  # with node.tls
    timeout: float = Field(10.0, gt=0.0, le=600.0)  # seconds until the acknowledgement
    message: Literal["ORM^O01", "OMG^O19", "OMI^O23", "ORU^R01"] = "ORM^O01"
    template: Path | None = None  # the site's own; default: the shipped one of `message`
    encoding: Charset = "UNICODE UTF-8"
    sending_application: str = "READFIRST"
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    processing_id: Literal["P", "T", "D"] = "P"  # HL7 table 0103
    priorities: Priorities = {}  # what HIGH, MEDIUM, LOW are called; default S, R, R


class Webhook(Section):
    """An HTTP server that is told by FHIR R4 resources."""

    url: str
    resource: Literal["Task", "ServiceRequest"] = "Task"
    token: SecretStr = SecretStr("")
    token_file: Path | None = None  # read at each request, so that it may be renewed
    ca: Path | None = None  # authorities of the server's certificate; default: the system's
    timeout: float = Field(10.0, gt=0.0, le=600.0)
    priorities: dict[Literal["HIGH", "MEDIUM", "LOW"], Literal["stat", "asap", "urgent", "routine"]] = {}

    @model_validator(mode="after")
    def _url_is_safe(self) -> Webhook:
        url = urlsplit(self.url)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.fragment:
            raise ValueError("url must be http://host/path or https://host/path, without user name or fragment")
        if url.scheme == "http" and url.hostname not in LOOPBACK:
            raise ValueError("url names the patient's study and must be https:// where it leaves this machine")
        if self.token.get_secret_value() and self.token_file:
            raise ValueError("give token or token_file, not both")
        return self


class Orders(Section):
    """The MLLP listener that learns orders."""

    host: str = "127.0.0.1"
    port: Port = 2575
    allow: tuple[IPvAnyNetwork, ...] = ()  # who may send: addresses or networks; empty: who reaches us
    encoding: Charset = "UNICODE UTF-8"  # of senders that name none in MSH-18
    accession: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]{2}-\d{1,2}(\.\d{1,2})?$")], ...] = (
        "IPC-1", "OBR-18", "ORC-3", "OBR-3",
    )  # fmt: skip
    priorities: dict[str, Literal["HIGH", "MEDIUM", "LOW"]] = {}
    most_connections: int = Field(16, ge=1, le=1000)
    idle_seconds: float = Field(3600.0, gt=0.0)

    @model_validator(mode="after")
    def _allowed_off_loopback(self) -> Orders:
        if self.host not in LOOPBACK and not self.allow:
            raise ValueError("allow must name the senders' addresses where host is not this machine alone")
        return self


class Worklist(Section):
    """Where priorities go: `ups` is the node's own Unified Procedure Step SCP, and with a table another one, too."""

    sinks: tuple[SinkName, ...] = ("ups",)
    ups: UpsSink | None = None
    hl7: Hl7Sink | None = None
    webhook: Webhook | None = None
    orders: Orders | None = None
    policy: Policy = Policy()
    event_hours: float = Field(24.0, gt=0.0)  # an event report that nobody answered so long is dropped
    deletion_locks: bool = True  # granted to subscribers; else they are answered 0xB301
    status_to: tuple[AETitle, ...] = ()  # AE titles that hear of each restart, also if they lost their subscription

    @model_validator(mode="after")
    def _each_sink_has_its_table(self) -> Worklist:
        for name in ("hl7", "webhook"):
            if name in self.sinks and getattr(self, name) is None:
                raise ValueError(f"sinks names {name}: write its table [worklist.{name}]")
        return self

    @model_validator(mode="after")
    def _each_table_has_its_sink(self) -> Worklist:
        """A table beside sinks that leave it out tells nobody; with `sinks = []` that is said: triage is off."""
        for name in ("ups", "hl7", "webhook"):
            if self.sinks and name not in self.sinks and getattr(self, name) is not None:
                names = ", ".join(f'"{one}"' for one in (*self.sinks, name))
                raise ValueError(f"there is a table [worklist.{name}]: add it, sinks = [{names}], or remove the table")
        return self
