"""What a network returns that answers with places: masks, or boxes; and the grid of voxels that one of volumes sees."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from models.card.network import Window
from models.card.table import Fraction, Table

Millimetres = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


class Masks(Table):
    """How a network's masks (1, channels, rows, columns) are read."""

    pixels: Literal["sigmoid", "softmax"] = "sigmoid"
    """Sigmoid: each channel has the logits of a label; softmax: they exclude each other, the first is background."""
    share: Fraction = 0.0
    """A label's probability is the mean over this part of the pixels, the most probable ones; 0: of the first alone."""


class Boxes(Table):
    """How a detector's boxes (N, 4), scores (N,) and labels (N,) are read; see `models.localizers.direct.boxes`."""

    first_label: Annotated[int, Field(ge=0)] = 0
    """The index of the card's first label; 1 where 0 is the background."""
    suppression: Fraction = 1.0
    """Of two boxes of a label that overlap by more (intersection over union) the lower score goes; 1: none goes."""
    most: Count = 20
    """Boxes of a label, those of the highest scores."""


class Voxels(Table):
    """What a network of volumes sees: a grid of this spacing over the volume, in windows of `size`."""

    spacing_mm: tuple[Millimetres, Millimetres, Millimetres]
    """(z, y, x), to the nearest that divides the volume."""
    size: tuple[Count, Count, Count]
    """(slices, rows, columns) of the network's input: a smaller grid is centred in it, its border repeated."""
    windows: tuple[Window, ...] = ()
    """Each becomes a channel of 0..1."""
    percentiles: tuple[Annotated[float, Field(ge=0, le=100)], Annotated[float, Field(ge=0, le=100)]] | None = None
    """Without windows: values between these percentiles of the grid become 0..1 (MR: its numbers have no unit)."""
    overlap: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.25
    """Of neighbouring windows, where a larger grid is seen in several; networks of masks alone."""

    @model_validator(mode="after")
    def _scaled_once(self) -> Voxels:
        if bool(self.windows) == (self.percentiles is not None):
            raise ValueError("voxels needs either windows or percentiles")
        if self.percentiles and self.percentiles[0] >= self.percentiles[1]:
            raise ValueError("voxels.percentiles: the first must be the lower one")
        return self
