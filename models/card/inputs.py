"""What a package may see."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from models.card.meeting import never_met
from models.card.table import Table


class Input(Table):
    """What the model may see. An empty tuple or None sets no rule."""

    kind: Literal["image", "volume"]
    modalities: Annotated[tuple[str, ...], Field(min_length=1)]
    body_parts: tuple[str, ...] = ()
    """Body Part Examined (0018,0015), upper case."""
    views: tuple[str, ...] = ()
    """View Position (0018,5101) of an image, upper case."""
    size: tuple[int, int] | None = None
    """(rows, columns) of the network's input; images only."""
    smallest_rows_columns: tuple[int, int] = (1, 1)
    smallest_slices: Annotated[int, Field(ge=1)] = 1
    slice_thickness: tuple[float, float] | None = None
    """(smallest, largest) distance between slices in mm; volumes only."""
    kernel: Literal["soft", "lung"] = "soft"
    """Of volumes that are alike in all else the one with such a reconstruction kernel is analysed."""

    @model_validator(mode="after")
    def _image_has_size(self) -> Input:
        if (self.kind == "image") != (self.size is not None):
            raise ValueError('size = [rows, columns] is needed for kind "image" and has no place in kind "volume"')
        return self

    @model_validator(mode="after")
    def _can_be_met(self) -> Input:
        faults = list(never_met(self.kind, self.modalities, self.body_parts, self.slice_thickness))
        if faults:
            raise ValueError(f"no study can meet it: {'; '.join(faults)}")
        return self
