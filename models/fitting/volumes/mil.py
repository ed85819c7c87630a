"""Gated attention over the cells or slabs of volumes; see `models.networks.modules.volumes.attention`."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from models.fitting.descent import whitened_start
from models.fitting.heads import Floats, Head
from models.fitting.volumes import epochs, frozen, linear
from models.fitting.volumes.epochs import Recipe
from models.fitting.volumes.store import Arrays
from models.fitting.volumes.task import VolumeFit, VolumeTask
from models.networks.modules.attention.gated_attention import GatedHead
from models.networks.modules.volumes.attention import AttentiveVolume

EPOCHS = (2, 4, 8)  # what is tried
RATE, BATCH = 3e-3, 8

METHOD = (
    "Slice encoder frozen, convolutions rounded to float16 as stored; gated attention (Ilse 2018), one a label, over"
    " the {bag} of slabs of {slab} slices, on features whitened by how cells vary within volumes; Adam from the optimum"
    " of the linear head under its penalty, {epochs} epochs, chosen by cross-validation by anatomy; Platt calibration,"
    " operating points and saliency thresholds on out-of-fold values, without any mask."
)
REGIONS = "Regions are where attention times score raised the score of the whole volume; they outline nothing."


@dataclass(frozen=True, slots=True, eq=False)
class Bags:
    """The instances of each volume in whitened coordinates."""

    network: AttentiveVolume
    store: Arrays
    whiten: Tensor

    def __call__(self, row: int) -> Tensor:
        """(1, instances, channels) of a volume."""
        with torch.no_grad():
            return (self.network.instances(self.store.tensors(row)) @ self.whiten)[None]


def fit(task: VolumeTask) -> VolumeFit:
    """Fit the attention and the scores."""
    network = AttentiveVolume(task.network.taps, len(task.like.labels), task.how.slab, task.how.bag)
    store = frozen.extract(frozen.with_imagenet(network, task), task)
    chosen = linear.choose(task, _averages(store, len(task.examples)), store)
    network.centre.copy_(torch.from_numpy(chosen.head.centre))
    whiten = torch.from_numpy(chosen.whiten).float()
    bags = Bags(network, store, whiten)

    def start(head: Head) -> nn.Module:
        return _started(head, chosen.head.centre, chosen.whiten)

    recipe = Recipe(bags, start, EPOCHS, RATE, BATCH, chosen.penalty / len(whiten))
    crossed, last, fitted = epochs.fit(task, recipe, [*chosen.crossed, chosen.head])
    maps = linear.out_of_fold_maps(
        task, store, lambda fold, taps: _installed(network, crossed[fold], whiten).maps(taps)
    )
    _installed(network, last, whiten)
    method = METHOD.format(bag=task.how.bag, slab=task.how.slab, epochs=fitted.epochs)
    scores = chosen.scores | fitted.scores
    return VolumeFit(network, fitted.logits, maps, chosen.penalty, scores, method, REGIONS)


def _averages(store: Arrays, count: int) -> Floats:
    """(N, channels): each tap averaged over the whole volume."""
    rows = [torch.cat([tap.mean((0, 2, 3)) for tap in store.tensors(row)]).double().numpy() for row in range(count)]
    return np.stack(rows)


def _started(head: Head, centre: Floats, whiten: Floats) -> nn.Module:
    """Attention that is alike everywhere, and the scores of a linear head in whitened coordinates."""
    module = GatedHead(len(whiten), len(head.bias))
    weight, bias = whitened_start(head, centre, whiten)
    module.head.weight.data, module.head.bias.data = weight, bias
    return module


def _installed(network: AttentiveVolume, module: nn.Module, whiten: Tensor) -> AttentiveVolume:
    """The network with a head that was trained in whitened coordinates."""
    state = copy.copy(module.state_dict())
    for layer in ("content", "gate", "head"):
        state[f"{layer}.weight"] = state[f"{layer}.weight"] @ whiten.T
    network.pool.load_state_dict(state)
    return network
