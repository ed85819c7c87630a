"""What the tables of a card have in common."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Byte = Annotated[int, Field(ge=0, le=255)]
Interval = tuple[Fraction, Fraction]
Text = Annotated[str, Field(min_length=1)]


class Code(NamedTuple):
    """A coded concept, PS3.3 section 8: Code Value, Coding Scheme Designator, Code Meaning."""

    value: Annotated[str, Field(min_length=1, max_length=16)]
    scheme: Annotated[str, Field(min_length=1, max_length=16)]
    meaning: Annotated[str, Field(min_length=1, max_length=64)]


class Table(BaseModel):
    """Frozen; a key that it does not have is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
