"""Gated attention over the cells of frozen features; see `models.networks.modules.gated_attention`."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from models.fitting import descent
from models.fitting.descent import Recipe, whitened_start
from models.fitting.frozen import Features, extract, with_imagenet
from models.fitting.heads import Head
from models.fitting.linear import Chosen, choose
from models.fitting.task import Fit, Task
from models.networks.modules.gated_attention import GatedHead, MilNetwork

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
    found, iterations = descent.fit(task, features, chosen, recipe(network, features, chosen))
    return replace(found, method=METHOD.format(iterations=iterations), regions=REGIONS)


def recipe(network: MilNetwork, features: Features, chosen: Chosen) -> Recipe:
    """Cells in whitened coordinates, where attention that is the same everywhere gives the linear head's logits."""
    whiten = torch.from_numpy(chosen.whiten).float()
    with torch.inference_mode():
        chunks = zip(*(torch.split(tap, descent.CHUNK) for tap in features.cells), strict=True)
        inputs = torch.cat([network.cells(tuple(tap.float() for tap in taps)) @ whiten for taps in chunks])

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

    return Recipe(network, inputs.clone(), start, install)
