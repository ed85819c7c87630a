"""The sections `[node]` and `[limits]`: the node on the network, and what one peer may take of it."""

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


class Limits(Section):
    """What one peer may take of connections, time and space; more is refused, dropped or slowed down, never kept."""

    connections: int = Field(
        64, ge=4, le=4096,
        description="connections that are not yet an association; where there are more, the oldest one of the address "
        "that has most of them is dropped",
    )  # fmt: skip
    request_seconds: float = Field(
        10.0, gt=0.0, le=600.0,
        description="until the TLS handshake and the A-ASSOCIATE-RQ are whole, else the connection is dropped (the "
        "ARTIM timer)",
    )  # fmt: skip
    associations_per_peer: int = Field(
        8, ge=1, le=1000,
        description="at once, of `node.max_associations`; peers that no table names (`node.accept_unknown`) count as "
        "one",
    )  # fmt: skip
    association_hours: float = Field(
        24.0,
        gt=0.0,
        description="an association that is older is aborted at its next message, never within an instance",
    )
    object_mb: int = Field(
        4096, ge=1,
        description="MiB; a longer Data Set is refused with 0xA700 while it is received, and nothing of it is kept; "
        "the association goes on",
    )  # fmt: skip
    object_minutes: float = Field(60.0, gt=0.0, description="an instance that takes longer ends its association")
    requested_minutes: float = Field(
        10.0, gt=0.0, le=1440.0,
        description="an association that the node opens (to deliver a study's results, to query, for storage "
        "commitment) is ended after so long; what its peer did not take is due again after a growing pause",
    )  # fmt: skip
    mb_per_second: int = Field(
        0, ge=0,
        description="MiB of one peer, over all its associations: a faster one is read later, and TCP makes it wait; "
        "`0`: no limit",
    )  # fmt: skip
    work_items_per_peer: int = Field(
        10_000, ge=1,
        description="that one peer (UPS-RS: one address) has made and that are kept; one more is refused with 0x0213 "
        "(503)",
    )  # fmt: skip
    predictions: int = Field(
        4, ge=0, le=64,
        description="files that `/predict` has at once, from the first byte to the answer; one more is refused with "
        "503; `0`: it is not served",
    )  # fmt: skip
    prediction_mb: int = Field(512, ge=1, description="MiB of a file for `/predict`; a longer one is refused with 413")
    prediction_seconds: float = Field(
        60.0, gt=0.0, le=600.0,
        description="for `/predict`: until a file is received, until a worker takes it, and until it is predicted",
    )  # fmt: skip
    instances_per_second: int = Field(0, ge=0, description="of one peer, in the same way; `0`: no limit")
