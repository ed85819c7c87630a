"""The table `[audit]`: who is told what was done here, and by whom (PS3.15 A.5 to A.7)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from node.settings.sections import Port, Section, Tls

AuditSink = Literal["file", "syslog"]
_SYSLOG_PORTS = {"tls": 6514, "udp": 514}  # RFC 5425 4.1, RFC 5426 3.3


class Repository(Section):
    """An audit record repository that is told by syslog."""

    host: str = Field(min_length=1)
    port: Port | None = None
    transport: Literal["tls", "udp"] = "tls"
    tls: Tls | None = None  # node.tls unless given
    timeout: float = Field(10.0, gt=0.0, le=300.0)  # seconds, of each step of the connection

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, which is the transport's own unless given."""
        return self.host, self.port or _SYSLOG_PORTS[self.transport]


class Audit(Section):
    """Where audit messages go, and what they may say."""

    sinks: tuple[AuditSink, ...] = ("file",)  # none: no message is made
    folder: Path | None = None  # of the sink "file"; below node.data unless given
    file_mb: int = Field(100, ge=1, le=10240)  # a longer file is put aside under the time's name
    patients: bool = True  # the patient's ID in messages of studies, and the keys of queries
    site: str = ""  # AuditEnterpriseSiteID
    source: str = ""  # AuditSourceID; node.ae_title unless given
    syslog: Repository | None = None

    @model_validator(mode="after")
    def _sink_and_table_go_together(self) -> Audit:
        if "syslog" in self.sinks and self.syslog is None:
            raise ValueError("sinks names syslog: write its table [audit.syslog]")
        if "syslog" not in self.sinks and self.syslog is not None:
            raise ValueError('there is a table [audit.syslog]: add "syslog" to sinks, or remove the table')
        return self
