"""The table [slices] of a card: how slices of a volume, or pictures of slices, become the network's input."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class Slices(BaseModel):
    """Slices of a volume that a network of images sees one by one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]]
    """(rows, columns) of the network's input."""
    window: tuple[float, float]
    """HU that are black and white; a picture file of a slice is taken to have been made with it."""
    tissue: Fraction = 0.45
    """Of the window, from which on a pixel is no air."""
    margin: Annotated[float, Field(ge=0.0, le=0.5)] = 0.02
    """Around the body, of its larger side."""
    least_lung: Fraction = 0.05
    """Slices with a smaller part of the body that is air are not seen."""

    @model_validator(mode="after")
    def _window_rises(self) -> Slices:
        if not self.window[0] < -1000.0 < self.window[1]:
            raise ValueError("slices.window must be [black, white] in HU with air, -1000, between them")
        return self

    @property
    def air(self) -> float:
        """-1000 HU in the window, 0..1."""
        low, high = self.window
        return (-1000.0 - low) / (high - low)
