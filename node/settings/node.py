"""The section `[node]`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from node.settings.base import AETitle, Port, Section, Tls


class Node(Section):
    """The node on the DICOM network: its address, and what it accepts."""

    ae_title: AETitle = Field(
        "READFIRST", description="AE title of the node; an association that calls another one is rejected"
    )
    host: str = Field("127.0.0.1", description="address on which the node listens; `0.0.0.0` for every address")
    port: Port = Field(11112, description="port on which the node listens")
    data: Path = Field(Path("var"), description="folder of all state: instances, results, ledger, embedded Redis")
    tls: Tls | None = Field(
        None, description='`{ certificate = "…", key = "…", ca = "…" }`: mutual TLS 1.2 or 1.3, see below'
    )
    quiet_seconds: float = Field(
        2.0, ge=0.0, le=86400.0,
        description="a study is complete so long after its association was released; 15 times as long where images "
        "are known to be missing (a `query` peer counts more, the association was aborted)",
    )  # fmt: skip
    accept_unknown: bool = Field(False, description="accepts AE titles that no peer table names")
    max_associations: int = Field(10, ge=1, le=1000, description="associations at once, of all peers")
    max_pdu: int = Field(
        262144,
        ge=4096,
        le=4194304,
        description="bytes of the longest PDU that is received; 0 (unlimited) is not offered",
    )
    network_timeout: float = Field(60.0, gt=0.0, description="seconds without a byte before an association is aborted")
    min_free_mb: int = Field(
        1024,
        ge=0,
        description="MiB; below this much free space nothing is added: instances are refused with 0xA700, work items "
        "and orders with their status, analyses wait, and audit messages are in memory only",
    )
