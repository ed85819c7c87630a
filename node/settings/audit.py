"""The section `[audit]` (PS3.15 A.5 to A.7)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from node.settings.base import Port, Section, Tls

AuditSink = Literal["file", "syslog"]
_SYSLOG_PORTS = {"tls": 6514, "udp": 514}  # RFC 5425 4.1, RFC 5426 3.3


class Repository(Section):
    """An audit record repository that receives syslog messages."""

    host: str = Field(min_length=1, description="address of the audit record repository")
    port: Port | None = Field(None, description="its port; none: `6514` (`tls`), `514` (`udp`)")
    transport: Literal["tls", "udp"] = Field(
        "tls", description="`tls` (RFC 5425) or `udp` (RFC 5426, which may lose and cut messages)"
    )
    tls: Tls | None = Field(
        None,
        description='`{ certificate = "…", key = "…", ca = "…" }` where it has an authority of its own; none: '
        "`node.tls`",
    )
    timeout: float = Field(10.0, gt=0.0, le=300.0, description="seconds of each step of the connection")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, which is the transport's own unless given."""
        return self.host, self.port or _SYSLOG_PORTS[self.transport]


class Audit(Section):
    """Where audit messages go, and what they may name."""

    sinks: tuple[AuditSink, ...] = Field(
        ("file",),
        description="who gets audit messages (PS3.15 A.5): `file`, `syslog`; `[]`: none are made. What a sink has not "
        "taken waits in the ledger, without a bound: `readfirst_audit_waiting` on `/metrics` counts them",
    )
    folder: Path | None = Field(
        None,
        description="folder in which `audit.log` grows, a message a line, mode 0600; none: `audit` in `node.data`",
    )
    file_mb: int = Field(
        100, ge=1, le=10240,
        description="MiB; a longer file is put aside as `audit-TIME-N.log`, and none is ever removed by the node",
    )  # fmt: skip
    patients: bool = Field(
        True,
        description="the Patient ID in messages of studies, and the keys of queries; `false`: `withheld`, and no keys",
    )
    site: str = Field("", description="AuditEnterpriseSiteID of each message")
    source: str = Field("", description="AuditSourceID of each message; none: `node.ae_title`")
    syslog: Repository | None = Field(None, description="the sink `syslog`")

    @model_validator(mode="after")
    def _sink_and_table_go_together(self) -> Audit:
        if "syslog" in self.sinks and self.syslog is None:
            raise ValueError("sinks names syslog: write its table [audit.syslog]")
        if "syslog" not in self.sinks and self.syslog is not None:
            raise ValueError('there is a table [audit.syslog]: add "syslog" to sinks, or remove the table')
        return self
