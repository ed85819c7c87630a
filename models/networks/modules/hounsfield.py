"""HU as networks of chest CT see them."""

from __future__ import annotations

from torch import Tensor

LOWEST_HU, HIGHEST_HU = -1024.0, 600.0
MIDDLE_HU, SPREAD_HU = -400.0, 400.0


def as_input(hu: Tensor) -> Tensor:
    """From air to soft tissue about -1.5 to 2.5; what is denser is bone alike."""
    return (hu.clamp(LOWEST_HU, HIGHEST_HU) - MIDDLE_HU) / SPREAD_HU
