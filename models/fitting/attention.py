"""CBAM on the last tap of frozen features; see `models.networks.modules.attention.cbam`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.fitting import descent
from models.fitting.descent import Recipe, whitened_start
from models.fitting.frozen import Features, extract, with_imagenet
from models.fitting.heads import Head
from models.fitting.linear import Chosen, choose
from models.fitting.task import Fit, Task
from models.networks.modules.attention.cbam import AttentionNetwork, Cbam

GATES = 4.0  # a new CBAM lets a quarter through
METHOD = (
    "Backbone frozen, convolutions rounded to float16 as stored; CBAM (Woo 2018) and a linear head on the inner cells"
    " of the last tap, trained together by L-BFGS from the optimum of the linear head alone under its whitened penalty,"
    " {iterations} iterations; Platt calibration, operating points and saliency thresholds on out-of-fold values,"
    " without any box."
)
REGIONS = "Regions are cells whose spatial attention times class evidence raised the score; they outline nothing."


class WhitenedAttention(nn.Module):
    """An `AttendedHead` whose linear layer is in whitened coordinates."""

    whiten: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, whiten: Tensor) -> None:
        super().__init__()
        self.cbam = Cbam(len(whiten))
        self.head = nn.Linear(len(whiten), len(bias))
        self.head.weight.data, self.head.bias.data = weight, bias
        self.register_buffer("whiten", whiten)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, L) of features (N, c, h, w)."""
        logits: Tensor = self.head(GATES * self.cbam(x).mean((2, 3)) @ self.whiten)
        return logits


def fit(task: Task) -> Fit:
    """Fit attention and head on the last tap."""
    how = task.network.model_copy(update={"taps": task.network.taps[-1:], "deviations": False})
    narrowed = replace(task, like=task.like.model_copy(update={"network": how}))
    network = with_imagenet(AttentionNetwork(how.taps, len(task.like.labels), how.border), task)
    features = extract(network, narrowed)
    chosen = choose(features, narrowed)
    network.centre.copy_(torch.from_numpy(chosen.head.centre))
    found, iterations = descent.fit(narrowed, features, chosen, recipe(network, features, chosen))
    return replace(found, method=METHOD.format(iterations=iterations), regions=REGIONS)


def recipe(network: AttentionNetwork, features: Features, chosen: Chosen) -> Recipe:
    """The last tap less its centre, under a new CBAM that changes no logit."""
    whiten = torch.from_numpy(chosen.whiten).float()

    def inputs(rows: NDArray[np.int64]) -> Tensor:
        return features.cells(rows)[-1] - network.centre[:, None, None]

    def start(head: Head) -> nn.Module:
        return WhitenedAttention(*whitened_start(head, chosen.head.centre, chosen.whiten), whiten)

    def install(module: nn.Module) -> None:
        assert isinstance(module, WhitenedAttention)
        network.attended.cbam.load_state_dict(module.cbam.state_dict())
        network.attended.head.weight.data = GATES * module.head.weight.data @ whiten.T
        network.attended.head.bias.data = module.head.bias.data.clone()

    return Recipe(network, inputs, start, install)
