"""What the sections of the settings have in common."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from node.hl7.charsets import known_character_set

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def matching(pattern: str, words: str) -> AfterValidator:
    """Text that the pattern matches as a whole; `words` is what people read where it does not."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(words)
        return value

    return AfterValidator(check)


AETitle = Annotated[
    str,
    matching(
        r"(?=.*[^ ])[ -\[\]-~]{1,16}",
        "write 1 to 16 characters of ASCII (PS3.5 AE), not spaces alone, without backslash and control characters",
    ),
]
Charset = Annotated[str, AfterValidator(known_character_set)]
Port = Annotated[int, Field(ge=1, le=65535)]
PriorityName = Literal["HIGH", "MEDIUM", "LOW"]


class Section(BaseModel):
    """A table of the configuration file: frozen, and it has no other key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def section_of(annotation: Any) -> type[Section] | None:
    """The section that a type is, or is made of."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(section_of, get_args(annotation))), None)


class Tls(Section):
    """Certificates of mutual TLS (PS3.15 B.12), all PEM."""

    certificate: Path = Field(description="certificate that is shown to the other side; it may hold a chain")
    key: Path = Field(description="its private key")
    ca: Path = Field(description="authorities that sign the other side's certificates, and revocation lists")


def tls_of(own: bool | Tls, node: Tls | None) -> Tls | None:
    """The certificates of a connection that has its own, or those of `node.tls`; None without TLS."""
    return own if isinstance(own, Tls) else node if own else None
