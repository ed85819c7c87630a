"""The table [augmentation] of a card: how far an image may be changed in training and keep its label."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Part = Annotated[float, Field(ge=0.0, lt=1.0)]


class Augmentation(BaseModel):
    """How far an image (intensity 0..1) is changed; each amount is drawn evenly between its two signs.

    What a card leaves out is as `GENTLE` has it: what made the label must stay to be seen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rotate: Annotated[float, Field(ge=0.0, le=180.0)] = 7.0
    """Degrees."""
    shift: Part = 0.05
    """Of the size."""
    scale: Part = 0.1
    shear: Part = 0.0
    """Columns (rows) by which an image moves from one row (column) to the next."""
    flip: bool = False
    """Whether left and right may be exchanged: never where sides, markers or the heart must stay where they are."""
    contrast: Part = 0.2
    """By which deviations from the mean grow or shrink."""
    gamma: Annotated[float, Field(ge=1.0)] = 1.25
    """The exponent is drawn between 1 / gamma and gamma."""
    noise: Annotated[float, Field(ge=0.0)] = 0.02
    """Largest standard deviation of Gaussian noise."""
    cutout: Part = 0.08
    """Side of each hole that is filled with the mean, of the size."""
    holes: Annotated[int, Field(ge=1)] = 2
    """How many at most."""


GENTLE = Augmentation()
# For contrastive learning, whose two views shall share the patient alone; smaller than for photographs.
STRONG = Augmentation(rotate=12, scale=0.25, shift=0.12, contrast=0.4, gamma=1.6, noise=0.05, cutout=0.15, holes=4)
