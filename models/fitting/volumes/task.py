"""What a method of fitting on volumes is given and gives back; as `models.fitting.task` for images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.card import Card, Network, VolumeInput
from models.data.volumes.folders import VolumeExamples
from models.fitting.task import Advance
from models.fitting.volumes.store import Maps


@dataclass(frozen=True, slots=True, eq=False)
class VolumeTask:
    """A package to be fitted.

    Attributes
    ----------
    like
        The card that gives network and input; its `localizer` is the method.
    weights
        The published ImageNet weights of the slice encoder.
    held_out
        Row numbers of each fold; an anatomy is in one fold alone.
    store
        Folder for features; what is in it was made for the same task.
    device
        Where the encoder computes.
    """

    examples: VolumeExamples
    like: Card
    weights: Path
    held_out: tuple[NDArray[np.int64], ...]
    seed: int
    advance: Advance
    store: Path
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def network(self) -> Network:
        """The [network] of the card."""
        assert self.like.network is not None
        return self.like.network

    @property
    def how(self) -> VolumeInput:
        """The [volume] of the card."""
        assert self.like.volume is not None
        return self.like.volume


@dataclass(frozen=True, slots=True, eq=False)
class VolumeFit:
    """A fitted package.

    Attributes
    ----------
    module
        The network of all volumes, to be stored.
    logits
        (N, L) of networks that did not see the volume, all with the bias of `module`.
    maps
        Of each volume (L, d, h, w) raw, of the same networks.
    penalty
        L2 penalty that was chosen.
    scores
        What was tried, and its mean out-of-fold AUC.
    method, regions
        Sentences for the card: how it was fitted, and what its maps are.
    """

    module: nn.Module
    logits: NDArray[np.float64]
    maps: Maps
    penalty: float
    scores: dict[str, float]
    method: str
    regions: str
