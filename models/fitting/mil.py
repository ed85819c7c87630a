"""Gated attention over the cells of frozen features; see `models.networks.modules.attention.gated_attention`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.fitting import descent
from models.fitting.descent import Recipe, whitened_start
from models.fitting.frozen import Features, extract, with_imagenet
from models.fitting.heads import Head
from models.fitting.linear import Chosen, choose
from models.fitting.rows import Rows, everything, parts
from models.fitting.task import Fit, Task
from models.networks.modules.attention.gated_attention import GatedHead, MilNetwork

METHOD = (
    "Backbone frozen, convolutions rounded to float16 as stored; gated attention over the inner cells on the grid of"
    " the coarsest tap (Ilse 2018), one attention a label, on features whitened by how cells vary within images;"
    " L-BFGS from the optimum of the linear head under its penalty, {iterations} iterations; Platt calibration,"
    " operating points and saliency thresholds on out-of-fold values, without any box."
)
REGIONS = "Regions are cells whose attention times logit raised the score; they outline nothing."


def fit(task: Task) -> Fit:
    """Fit the attention and the cells' head."""
    how = task.network
    built = MilNetwork(how.taps, len(task.like.labels), how.border, deviations=how.deviations)
    network = with_imagenet(built, task)
    features = extract(network, task)
    chosen = choose(features, task)
    network.centre.copy_(torch.from_numpy(chosen.head.centre))
    found, iterations = descent.fit(task, features, chosen, recipe(network, features, chosen, task.store))
    return replace(found, method=METHOD.format(iterations=iterations), regions=REGIONS)


def recipe(network: MilNetwork, features: Features, chosen: Chosen, store: Path) -> Recipe:
    """Cells in whitened coordinates, where attention that is the same everywhere gives the linear head's logits."""
    whiten = torch.from_numpy(chosen.whiten).float()
    whitened = _whitened(network, features, whiten, store)

    def inputs(rows: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(whitened[rows])

    def start(head: Head) -> nn.Module:
        module = GatedHead(len(whiten), len(head.bias))
        weight, bias = whitened_start(head, chosen.head.centre, chosen.whiten)
        module.head.weight.data, module.head.bias.data = weight, bias
        return module

    def install(module: nn.Module) -> None:
        state = module.state_dict()
        for layer in ("content", "gate", "head"):
            state[f"{layer}.weight"] = state[f"{layer}.weight"] @ whiten.T
        network.pool.load_state_dict(state)

    return Recipe(network, inputs, start, install)


def _whitened(network: MilNetwork, features: Features, whiten: Tensor, store: Path) -> Rows:
    """The cells of all images in whitened coordinates, (N, cells, channels), on disk."""
    found: Rows | None = None
    count = len(features.pooled)
    for rows in parts(everything(count), descent.CHUNK):
        with torch.inference_mode():
            cells = (network.cells(features.cells(rows)) @ whiten).numpy()
        found = found or Rows(store / "cells.npy", (count, *cells.shape[1:]), np.float32)
        found[rows] = cells
    assert found is not None
    return found
