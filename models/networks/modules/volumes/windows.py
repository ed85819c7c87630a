"""Hounsfield units as the channels of a network's input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.card import Window


def channels(hu: Tensor, windows: Sequence[Window], mean: float, std: float) -> Tensor:
    """(n, channels, h, w) of HU (n, h, w): each window spread from 0 to 1, cut there, less `mean`, by `std`."""
    spread = [((hu - (one.centre - one.width / 2)) / one.width).clamp(0, 1) for one in windows]
    return (torch.stack(spread, 1) - mean) / std
