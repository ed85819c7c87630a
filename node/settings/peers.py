"""The sections `[peers.NAME]`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, IPvAnyNetwork, model_validator

from node.settings.base import AETitle, Port, Section


class Peer(Section):
    """A DICOM peer: what it may send to the node and what it receives. With `folder` it is a directory, not a node."""

    ae_title: AETitle = Field(
        "ANY", description="AE title that the DICOM node calls itself; required where there is no `folder`"
    )
    host: str = Field("", description="address at which the node reaches it; required where there is no `folder`")
    port: Port = Field(104, description="port at which the node reaches it")
    folder: Path | None = Field(
        None, description="instead of a DICOM node: a folder that receives the results as files"
    )
    send: tuple[Literal["images"], ...] = Field((), description='`["images"]`: may send images to the node')
    receive: tuple[Literal["results"], ...] = Field((), description='`["results"]`: receives the results')
    query: bool = Field(
        False,
        description="is asked by C-FIND how many instances a study has, and as a receiver whether it keeps the results "
        "(storage commitment, else C-FIND); the first such peer is named in the worklist as the place of the images",
    )
    worklist: tuple[Literal["read", "change", "subscriptions"], ...] = Field(
        (),
        description='what it may do as SCU of Unified Procedure Steps: `"read"` (C-FIND, N-GET, subscribe, be '
        'subscribed), `"change"` (N-CREATE, N-SET, change the state, request cancel), `"subscriptions"` (end or change '
        "subscriptions of other AE titles); else 0x0124",
    )
    addresses: tuple[IPvAnyNetwork, ...] = Field(
        (),
        description='addresses or networks that it may associate from: `["10.0.0.5", "10.1.0.0/16"]`; none: '
        "everywhere. Two peers may have one AE title and different addresses",
    )
    certificate: str = Field(
        "",
        description="with `node.tls`: a name (Common Name or subjectAltName) that its certificate must carry; none: "
        "any certificate of `node.tls.ca`",
    )
    tls: bool = Field(False, description="associations to it use `node.tls`")
    viewer: str = Field(
        "ohif",
        description="`ohif`, `stone`, `weasis`, `basic`: the viewer that people use there decides what the peer "
        "receives, see CONFORMANCE.md",
    )
    also: tuple[str, ...] = Field(
        (),
        description='results beside those of the viewer\'s profile: `"capture"` (the picture), `"presentation-state"` '
        '(outlines as GSPS), `"key-objects"`, `"saliency-map"` (raw map of a CT as Parametric Map), `"report-text"` '
        '(Basic Text SR), `"report-pdf"` (Encapsulated PDF)',
    )

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
