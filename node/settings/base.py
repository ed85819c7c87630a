"""What the sections of the settings have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from node.hl7.charsets import known_character_set

LOOPBACK = ("127.0.0.1", "::1", "localhost")

AETitle = Annotated[str, StringConstraints(min_length=1, max_length=16, pattern=r"^[ -\[\]-~]*[!-\[\]-~][ -\[\]-~]*$")]
Charset = Annotated[str, AfterValidator(known_character_set)]
Port = Annotated[int, Field(ge=1, le=65535)]
PriorityName = Literal["HIGH", "MEDIUM", "LOW"]


class Section(BaseModel):
    """A table of the configuration file: frozen, and it has no other key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Tls(Section):
    """Certificates of mutual TLS (PS3.15 B.12), all PEM."""

    certificate: Path = Field(description="certificate that is shown to the other side; it may hold a chain")
    key: Path = Field(description="its private key")
    ca: Path = Field(description="authorities that sign the other side's certificates, and revocation lists")


def tls_of(own: bool | Tls, node: Tls | None) -> Tls | None:
    """The certificates of a connection that has its own, or those of `node.tls`; None without TLS."""
    return own if isinstance(own, Tls) else node if own else None
