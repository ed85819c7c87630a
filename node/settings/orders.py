"""The sections `[worklist.orders]` and `[reports]`: what the MLLP listener receives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, IPvAnyNetwork, model_validator

from node.settings.base import LOOPBACK, Charset, Port, PriorityName, Section, Tls, matching

Place = Annotated[
    str,
    matching(r"[A-Z][A-Z0-9]{2}-[0-9]{1,2}(\.[0-9]{1,2})?", "name a field of HL7, for example OBR-18 or PID-3.1"),
]


class Orders(Section):
    """The MLLP listener that receives orders."""

    host: str = Field("127.0.0.1", description="address on which it listens; off loopback `allow` is required")
    port: Port = Field(2575, description="port on which it listens")
    allow: tuple[IPvAnyNetwork, ...] = Field(
        (),
        description='addresses or networks that may send: `["10.0.0.5", "10.1.0.0/16"]`; empty: everybody who reaches '
        "the listener",
    )
    tls: bool | Tls = Field(
        False,
        description='`true`: TLS with `node.tls`; `{ certificate = "…", key = "…", ca = "…" }` where orders have an '
        "authority of their own. Senders show a certificate of the authority; renewed files are read at the next "
        "connection",
    )
    encoding: Charset = Field(
        "UNICODE UTF-8",
        description="of senders that leave MSH-18 empty; a message that is not in it is recorded where what counts "
        "for the order is ASCII, and the log warns",
    )
    accession: tuple[Place, ...] = Field(
        ("IPC-1", "OBR-18", "ORC-3", "OBR-3"),
        description="where the accession number stands; the first that has a value",
    )
    priorities: dict[str, PriorityName] = Field(
        {},
        description="what the senders' codes mean (TQ1-9, ORC-7, OBR-27, OBR-5), in capitals or not; by default S, A, "
        "P, C, STAT, ASAP, PREOP, CALLBACK, URGENT, EMERGENCY, EMERGENT, HIGH are HIGH, and R, T, PRN, ROUTINE, "
        "TIMING, NORMAL, ELECTIVE, MEDIUM, LOW are MEDIUM; only those given are changed, unknown ones are MEDIUM, and "
        "the log and the acknowledgement say so",
    )
    most_connections: int = Field(
        16, ge=1, le=1000,
        description="connections at once; where there are more, the least recently active one of the address that has "
        "most of them is dropped",
    )  # fmt: skip
    idle_seconds: float = Field(3600.0, gt=0.0, description="a connection without a message is closed so long after it")
    message_seconds: float = Field(
        30.0, gt=0.0, le=3600.0,
        description="from the first byte of a message to its last, and for the TLS handshake; else AE",
    )  # fmt: skip

    @model_validator(mode="after")
    def _allowed_off_loopback(self) -> Orders:
        if self.host not in LOOPBACK and not self.allow:
            raise ValueError("allow must name the senders' addresses where host is not this machine alone")
        return self


class Reports(Section):
    """Radiology reports that the MLLP listener receives, kept for training; off by default."""

    enabled: bool = Field(
        False,
        description="whether ORU^R01 to the listener of `worklist.orders` is kept; else it is acknowledged and "
        "ignored. What is kept names the patient",
    )
    folder: Path | None = Field(None, description="where reports are kept; none: `reports` in `node.data`")
