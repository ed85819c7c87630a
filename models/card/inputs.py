"""What a package may see, and what of it its network is given."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from models.card.meeting import never_met
from models.card.network import Network, Window
from models.card.table import Fraction, Table


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
    colour: Literal["grey", "rgb"] = "grey"
    """Images: with rgb the network sees red, green and blue; a grey image is given three times."""
    windows: tuple[Window, ...] = ()
    """Images whose values are HU or the like: a channel for each window, in place of the image's own contrast."""
    crop: Fraction = 0.0
    """Images: the part, a side, that is seen of the largest centred rectangle of the input's shape; 0: all, black
    beside it. 0.875 is a centre crop of 224 from 256 pixels."""
    smallest_rows_columns: tuple[int, int] = (1, 1)
    smallest_slices: Annotated[int, Field(ge=1)] = 1
    slice_thickness: tuple[float, float] | None = None
    """(smallest, largest) distance between slices in mm; volumes only."""
    kernel: Literal["soft", "lung"] = "soft"
    """Of volumes that are alike in all else the one with such a reconstruction kernel is analysed."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Input:
        if (self.kind == "image") != (self.size is not None):
            raise ValueError('size = [rows, columns] is needed for kind "image" and has no place in kind "volume"')
        if self.kind == "volume" and (self.colour == "rgb" or self.windows or self.crop):
            raise ValueError('colour, windows and crop are of kind "image"')
        if self.colour == "rgb" and self.windows:
            raise ValueError('windows are of grey values: colour = "rgb" has none')
        return self

    @model_validator(mode="after")
    def _can_be_met(self) -> Input:
        faults = list(never_met(self.kind, self.modalities, self.body_parts, self.slice_thickness))
        if faults:
            raise ValueError(f"no study can meet it: {'; '.join(faults)}")
        return self

    @property
    def planes(self) -> int:
        """Images (rows, columns) that the model is given at once."""
        return 3 if self.colour == "rgb" else max(len(self.windows), 1)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of the array that the model takes: (rows, columns), or (planes, rows, columns) of several; images only."""
        return self.size if self.size is None or self.planes == 1 else (self.planes, *self.size)

    def objection(self, network: Network) -> str:
        """Why a network cannot be given what is seen, as a clause; "" where it can."""
        if self.planes > 1 and network.channels != self.planes:
            return f"input gives {self.planes} channels, and network.channels is {network.channels}"
        if self.windows and network.scaling in ("equalize", "clahe"):
            return f'network.scaling = "{network.scaling}" would undo input.windows'
        return ""
