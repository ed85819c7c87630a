"""What is wrong with a card whose labels are exclusive classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Scaled(Protocol):
    """The calibration of a class."""

    @property
    def slope(self) -> float: ...

    @property
    def pivot(self) -> float: ...


class Class(Protocol):
    """A label of a card, as far as these rules see it."""

    @property
    def name(self) -> str: ...

    @property
    def finding(self) -> bool: ...

    @property
    def calibration(self) -> Scaled: ...

    @property
    def triage(self) -> object | None: ...


def exclusive_objection(labels: Sequence[Class], quantity: str, activation: str) -> str:
    """What is wrong with exclusive classes, or with labels that are none; "" where nothing is."""
    absent = [label for label in labels if not label.finding]
    if activation == "sigmoid":
        return f'{absent[0].name}: finding = false is for exclusive classes, activation = "softmax"' if absent else ""
    if len(labels) < 2 or len(absent) == len(labels) or quantity != "probability":
        return (
            f'activation = "{activation}" needs two labels or more, a finding among them, and quantity = "probability"'
        )
    if activation == "ordinal" and any(not label.finding for label in labels[1:]):
        return "of ordinal grades the first alone may be no finding"
    if any(label.calibration.pivot != 0.5 or label.calibration.slope <= 0 for label in labels):
        return "exclusive classes are calibrated by a slope above 0 and an intercept; a pivot has no meaning for them"
    named = [label.name for label in (labels if activation == "ordinal" else absent) if label.triage]
    which = "an ordinal grade" if activation == "ordinal" else "a class that is no finding"
    return f"{named[0]}: {which} has no triage" if named else ""
