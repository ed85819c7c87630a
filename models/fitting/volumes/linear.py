"""Linear scores of slices and their mean: logistic regression on features averaged within zones of the volume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from models.fitting import heads
from models.fitting.heads import Floats, Head
from models.fitting.rows import everything
from models.fitting.volumes import frozen
from models.fitting.volumes.store import Arrays, Maps
from models.fitting.volumes.task import VolumeFit, VolumeTask
from models.metrics.ranking import auc
from models.networks.modules.volumes.sliced import LinearVolume, Taps

PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # per volume and feature of unit variance
NEAR_BEST = 0.005  # the largest penalty whose mean out-of-fold AUC is this near to the best
CELLS = 4096  # of a volume that its covariance is of

METHOD = (
    "Slice encoder frozen, convolutions rounded to float16 as stored; features of {slab} slices averaged, then within"
    " {zones} zones (z, y, x) of the crop, whitened by how cells vary within volumes; logistic regression with an L2"
    " penalty that was chosen by cross-validation by anatomy; Platt calibration, operating points and saliency"
    " thresholds on out-of-fold values, without any mask."
)

Explain = Callable[[LinearVolume, Taps], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The penalty that cross-validation chose, the head of all volumes and that of each fold."""

    penalty: float
    scores: dict[str, float]
    head: Head
    crossed: list[Head]
    whiten: Floats


def fit(task: VolumeTask, explain: Explain, regions: str) -> VolumeFit:
    """Fit the head and make out-of-fold maps; `explain` is the localizer's, `regions` as in `VolumeFit`."""
    how = task.how
    network = LinearVolume(task.network.taps, len(task.like.labels), how.slab, how.zones)
    store = frozen.extract(frozen.with_imagenet(network, task), task)
    pooled = _pooled(network, store, len(task.examples))
    chosen = choose(task, pooled, store)
    maps = out_of_fold_maps(task, store, lambda fold, taps: _mapped(network, chosen.crossed[fold], explain, taps))
    set_head(network, chosen.head)
    logits = heads.out_of_fold(pooled, task.held_out, chosen.crossed, chosen.head.bias)
    method = METHOD.format(slab=how.slab, zones=" x ".join(map(str, how.zones)))
    return VolumeFit(network, logits, maps, chosen.penalty, chosen.scores, method, regions)


def _pooled(network: LinearVolume, store: Arrays, count: int) -> Floats:
    """(N, channels x zones)."""
    with torch.inference_mode():
        rows = [network.pooled(store.tensors(row)).flatten().double().numpy() for row in range(count)]
    return np.stack(rows)


def choose(task: VolumeTask, pooled: Floats, store: Arrays) -> Chosen:
    """Choose the penalty by cross-validation by anatomy, and fit."""
    truth, seed = task.examples.truth, task.seed
    whiten = heads.whitening(frozen.covariance(store, len(truth), CELLS))
    kept = [np.setdiff1d(everything(len(truth)), held) for held in task.held_out]
    tried: dict[float, tuple[float, list[Head]]] = {}
    for index, penalty in enumerate(PENALTIES, start=1):
        crossed = [head_of(pooled, truth, penalty, whiten, rows, seed) for rows in kept]
        logits = heads.out_of_fold(pooled, task.held_out, crossed, np.zeros(truth.shape[1]))
        tried[penalty] = mean_auc(logits, truth), crossed
        task.advance("penalty", index, len(PENALTIES))
    best = max(score for score, _ in tried.values())
    penalty = max(one for one, (score, _) in tried.items() if score >= best - NEAR_BEST)
    head = head_of(pooled, truth, penalty, whiten, everything(len(truth)), seed)
    return Chosen(penalty, {str(one): score for one, (score, _) in tried.items()}, head, tried[penalty][1], whiten)


def mean_auc(logits: Floats, truth: NDArray[np.bool_]) -> float:
    """Mean over labels."""
    return float(np.mean([auc(logits[:, index], truth[:, index]) for index in range(truth.shape[1])]))


def head_of(
    pooled: Floats, truth: NDArray[np.bool_], penalty: float, whiten: Floats, rows: NDArray[np.int64], seed: int
) -> Head:
    """Logistic regression of each label on whitened features of these rows.

    There are fewer volumes than features: it is fitted in the space of the volumes, which gives the same head.
    """
    centre = pooled[rows].mean(0)
    zones = pooled.shape[1] // len(whiten)
    away = (pooled[rows] - centre).reshape(len(rows), len(whiten), zones)
    white = np.einsum("ncz,cd->ndz", away, whiten).reshape(len(rows), -1)
    scale = np.sqrt((white**2).mean(0)) + 1e-6
    left, singular, right = np.linalg.svd(white / scale, full_matrices=False)
    coordinates = left * singular
    strength = penalty * len(scale) / len(whiten)
    weights, bias = [], []
    for label in truth[rows].T:
        # sklearn: 1/2 |w|² + C * sum of losses
        solver = LogisticRegression(C=1 / (strength * len(rows)), max_iter=2000, random_state=seed)
        solver.fit(coordinates, label)
        weights.append(_unwhitened(solver.coef_[0] @ right / scale, whiten, zones))
        bias.append(float(solver.intercept_[0]))
    return Head(np.stack(weights), np.array(bias), centre)


def _unwhitened(weight: Floats, whiten: Floats, zones: int) -> Floats:
    """A weight on raw features of one on whitened features."""
    raw: Floats = np.einsum("dz,cd->cz", weight.reshape(len(whiten), zones), whiten).ravel()
    return raw


def set_head(network: LinearVolume, head: Head) -> None:
    """Put a head into the network."""
    with torch.no_grad():
        network.weight.copy_(torch.from_numpy(head.weight).view_as(network.weight))
        network.bias.copy_(torch.from_numpy(head.bias))
        network.centre.copy_(torch.from_numpy(head.centre).view_as(network.centre))


def _mapped(network: LinearVolume, head: Head, explain: Explain, taps: Taps) -> Tensor:
    set_head(network, head)
    return explain(network, taps)[1]


def out_of_fold_maps(task: VolumeTask, store: Arrays, mapped: Callable[[int, Taps], Tensor]) -> Maps:
    """Maps of each volume; `mapped(fold, taps)` makes them without having seen that fold."""
    maps, done = Maps(task.store / "maps"), 0
    for fold, rows in enumerate(task.held_out):
        for row in rows:
            with torch.inference_mode():
                maps.write(int(row), mapped(fold, store.tensors(int(row))))
            done += 1
            task.advance("maps", done, len(task.examples))
    return maps
