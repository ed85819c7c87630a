"""What a method that fits exclusive classes gives back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import nn

from models.card import Network
from models.fitting.rows import Rows


@dataclass(frozen=True, slots=True, eq=False)
class ClassFit:
    """A fitted package of exclusive classes.

    Attributes
    ----------
    module
        The network of all images, to be stored.
    network
        Its [network] on the card.
    logits
        (N, L) of networks that did not see the image.
    bag_logits
        (B, L) of the same; None for a method that sees single images.
    maps
        (N, L, h, w) raw, of the same.
    penalty
        L2 penalty that was chosen.
    scores
        What was tried, and its macro AUC out of fold.
    method, regions
        Sentences for the card.
    """

    module: nn.Module
    network: Network
    logits: NDArray[np.float64]
    bag_logits: NDArray[np.float64] | None
    maps: Rows
    penalty: float
    scores: dict[str, float] = field(default_factory=dict)
    method: str = ""
    regions: str = ""
