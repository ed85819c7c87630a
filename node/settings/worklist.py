"""The section `[worklist]`: the node's own worklist, and the sinks of raised priorities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SecretStr,
    StringConstraints,
    model_validator,
)

from node.settings.base import LOOPBACK, AETitle, Charset, Port, PriorityName, Section, Tls, matching
from node.settings.orders import Orders
from node.settings.policy import Policy

SinkName = Annotated[  # node.worklist.sinks registers them
    str,
    matching(r"[a-z][a-z0-9_]{0,15}", "name a sink: small letters, digits and _, at most 16, beginning with a letter"),
]
_PriorityCodes = dict[PriorityName, Annotated[str, StringConstraints(min_length=1, max_length=20)]]


class UpsSink(Section):
    """An external Unified Procedure Step SCP (PS3.4 Annex CC) that receives raised priorities."""

    peer: str = Field(
        description="name of a `[peers.…]` table: an external Unified Procedure Step SCP whose work items are found "
        "and raised, or made"
    )


class Hl7Sink(Section):
    """An HL7 v2 receiver over MLLP, and the messages that it receives."""

    host: str = Field(description="address of the HL7 v2 receiver (MLLP)")
    port: Port = Field(2575, description="its port")
    tls: bool | Tls = Field(
        False,
        description='`true`: TLS with `node.tls`; `{ certificate = "…", key = "…", ca = "…" }` where the receiver has '
        "an authority of its own",
    )
    timeout: float = Field(10.0, gt=0.0, le=600.0, description="seconds until the acknowledgement")
    message: Literal["ORM^O01", "OMG^O19", "OMI^O23", "ORU^R01"] = Field(
        "ORM^O01",
        description="`ORM^O01`, `OMG^O19`, `OMI^O23`, `ORU^R01`: which shipped template "
        "(`node/worklist/sinks/templates`)",
    )
    template: Path | None = Field(
        None, description="the site's own template file, see below; `readfirst worklist preview UID` shows its message"
    )
    encoding: Charset = Field(
        "UNICODE UTF-8",
        description="of what is sent, as MSH-18 names it: also `8859/1` to `8859/9`, `8859/15`, `GB 18030-2000` (or "
        "`GB18030`), `BIG-5`, `KS X 1001`, `ISO IR14`, `ISO IR87`, `ISO IR159`, `ASCII`; a character that it lacks "
        "becomes `?`",
    )
    sending_application: str = Field("READFIRST", description="MSH-3")
    sending_facility: str = Field("", description="MSH-4")
    receiving_application: str = Field("", description="MSH-5")
    receiving_facility: str = Field("", description="MSH-6")
    processing_id: Literal["P", "T", "D"] = Field("P", description="MSH-11: `P`, `T`, `D` (HL7 table 0103)")
    priorities: _PriorityCodes = Field(
        {},
        description='codes of priorities (table 0485), by default `{ HIGH = "S", MEDIUM = "R", LOW = "R" }`; only '
        "those given are changed; a message is sent of HIGH alone, the others are for `readfirst worklist preview`",
    )


class Webhook(Section):
    """An HTTP server that receives FHIR R4 resources."""

    url: str = Field(description="where the FHIR R4 resource is POSTed; `https://` unless it stays on this machine")
    resource: Literal["Task", "ServiceRequest"] = Field("Task", description="`Task` or `ServiceRequest`")
    token: SecretStr = Field(SecretStr(""), description="bearer token, best as `READFIRST_WORKLIST__WEBHOOK__TOKEN`")
    token_file: Path | None = Field(
        None, description="instead: a file with the token; it is read at each request, so that it may be renewed"
    )
    ca: Path | None = Field(None, description="authorities of the server's certificate; none: the system's")
    timeout: float = Field(10.0, gt=0.0, le=600.0, description="seconds")
    priorities: dict[PriorityName, Literal["stat", "asap", "urgent", "routine"]] = Field(
        {},
        description='`stat`, `asap`, `urgent`, `routine`; by default `{ HIGH = "stat", MEDIUM = "routine", LOW = '
        '"routine" }`; sent of HIGH alone',
    )

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


class Worklist(Section):
    """The node's own Unified Procedure Steps, and where raised priorities go."""

    sinks: tuple[SinkName, ...] = Field(
        ("ups",),
        description="where raised priorities go: `ups` (the node's own Unified Procedure Step SCP, and with "
        "`worklist.ups` an external one, too), `hl7`, `webhook`; `[]` turns triage off, the order stays as the studies "
        "arrived. The node's own list is raised whenever `sinks` is not empty; a table `[worklist.ups]`, `.hl7` or "
        "`.webhook` that a list with entries does not name stops the start",
    )
    ups: UpsSink | None = Field(None, description="the external sink `ups`")
    hl7: Hl7Sink | None = Field(None, description="the sink `hl7`")
    webhook: Webhook | None = Field(None, description="the sink `webhook`")
    orders: Orders | None = Field(
        None, description="a table turns the MLLP listener on, which receives orders (ORM^O01, OMG^O19, OMI^O23)"
    )
    policy: Policy = Field(Policy(), description="how findings become priorities")
    event_hours: float = Field(
        24.0, gt=0.0, description="an event report that its subscriber did not answer so long is dropped"
    )
    deletion_locks: bool = Field(
        True, description="whether subscribers get the Deletion Lock that they ask for (else 0xB301)"
    )
    status_to: tuple[AETitle, ...] = Field(
        (), description="AE titles of peers that are notified of each start (SCP Status Change), subscribed or not"
    )

    _tables: dict[str, dict[str, Any]] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep_tables_of_sinks(cls, given: Any, build: ModelWrapValidatorHandler[Worklist]) -> Worklist:
        named = given.get("sinks") if isinstance(given, dict) else None
        if not isinstance(named, list | tuple):
            return build(given)
        tables = {key: given[key] for key in given if key in named and key not in cls.model_fields}
        worklist = build({key: given[key] for key in given if key not in tables})
        worklist._tables = tables
        return worklist

    @property
    def tables(self) -> Mapping[str, Mapping[str, Any]]:
        """Tables of sinks that have none here, by the sink's name; the sink validates its own."""
        return self._tables

    @model_validator(mode="after")
    def _each_sink_has_its_table(self) -> Worklist:
        for name in ("hl7", "webhook"):
            if name in self.sinks and getattr(self, name) is None:
                raise ValueError(f"sinks names {name}: write its table [worklist.{name}]")
        return self

    @model_validator(mode="after")
    def _each_table_has_its_sink(self) -> Worklist:
        """A table that a list with entries leaves out is a mistake; `sinks = []` turns triage off on purpose."""
        for name in ("ups", "hl7", "webhook"):
            if self.sinks and name not in self.sinks and getattr(self, name) is not None:
                names = ", ".join(f'"{one}"' for one in (*self.sinks, name))
                raise ValueError(f"there is a table [worklist.{name}]: add it, sinks = [{names}], or remove the table")
        return self
