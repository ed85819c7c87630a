"""Fits the head of a network of the thorax: ridge regression on the logits of soft targets, by folds and on all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.anatomy.evidence import evidence
from models.anatomy.residual import CELLS, normal_chest
from models.data.soft_targets import soft_targets
from models.evaluation.discrimination import FEWEST_POSITIVES
from models.fitting import heads
from models.fitting.heads import Refit
from models.fitting.rows import Rows, everything, parts
from models.fitting.task import Fit, Task
from models.fitting.thorax.crops import BATCH, Thoraxes, thoraxes
from models.fitting.thorax.ridge import Features, Problem
from models.networks.modules.storage import halved
from models.networks.modules.thorax import ThoraxNetwork

PENALTIES = (2.0, 5.0, 10.0)
TEACHER = 3.0  # weight of an image with a teacher's probabilities, of one without 1
FURTHEST = 0.02  # targets are cut to this and 1 less this before their logits are taken
NORMAL = 0.2  # part of the images, those with the lowest sum of targets, that are the normal chests

Floats = NDArray[np.float64]

METHOD = (
    "Backbone frozen, convolutions rounded to float16 as stored. Images are cropped to the lungs and stretched in"
    " contrast; features are averaged within 6 x 6 zones. Ridge regression on the logits of soft targets (a teacher's"
    " calibrated probabilities averaged with the labels, where it has any, else smoothed labels), which learns what"
    " differs within a source; Platt calibration, thresholds and saliency thresholds on out-of-fold values, without"
    " any box."
)
REGIONS = (
    "Regions are where a class activation map of the whole image's label meets a chest that is brighter or darker than"
    " normal ones are at that place: they show what raised the score and outline nothing."
)


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """logits = (features - centre) @ weight; weight (D, L), centre (D,)."""

    weight: Floats
    centre: Floats

    def logits(self, features: Rows, rows: NDArray[np.int64]) -> Floats:
        """(rows, L), without a bias."""
        return np.concatenate([(features[some] - self.centre) @ self.weight for some in parts(rows, 256)])


def fit(task: Task) -> Fit:
    """Fit the head, and make out-of-fold logits and evidence."""
    network = _with_imagenet(task)
    seen = thoraxes(task, network)
    features = _features(task, seen)
    tried = _fold_heads(task, features)
    scores = {penalty: _score(task, seen.pooled, crossed) for penalty, crossed in tried.items()}
    best = max(scores, key=lambda one: scores[one])
    targets = soft_targets(task.examples, everything(len(task.examples)))
    problem, wanted = Problem.of(features, everything(len(task.examples))), _logits(targets)
    head, bias = Head(problem.solve(wanted, best), problem.centre), wanted.mean(0)
    _set(network, head, bias, _normal(seen, targets))
    logits = _out_of_fold(task, seen.pooled, tried[best]) + bias
    maps = _evidence(task, seen, network, tried[best])
    _set(network, head, bias)
    named = {str(one): score for one, score in scores.items()}
    return Fit(network, task.network, logits, maps, best, named, _refitted(task, features), METHOD, REGIONS)


def _with_imagenet(task: Task) -> ThoraxNetwork:
    network = ThoraxNetwork(task.network.taps, len(task.like.labels)).eval()
    network.backbone.load_imagenet(task.weights)
    halved(network.backbone)
    return network


def _features(task: Task, seen: Thoraxes) -> Features:
    known = ~np.isnan(task.examples.teacher).all(axis=1)
    sources = np.unique(task.examples.sources, return_inverse=True)[1]
    return Features(seen.pooled, sources, np.where(known, TEACHER, 1.0))


def _logits(targets: Floats) -> Floats:
    """Of targets that are cut, so that they are finite."""
    cut = np.clip(targets, FURTHEST, 1 - FURTHEST)
    logits: Floats = np.log(cut / (1 - cut))
    return logits


def _fold_heads(task: Task, features: Features) -> dict[float, list[Head]]:
    """For each penalty the head of each fold, which did not see it."""
    found: dict[float, list[Head]] = {penalty: [] for penalty in PENALTIES}
    for fold, held in enumerate(task.held_out):
        kept = np.setdiff1d(everything(len(task.examples)), held)
        problem, logits = Problem.of(features, kept), _logits(soft_targets(task.examples, kept))
        for done, penalty in enumerate(PENALTIES, start=1 + fold * len(PENALTIES)):
            found[penalty].append(Head(problem.solve(logits, penalty), problem.centre))
            task.advance("folds", done, len(PENALTIES) * len(task.held_out))
    return found


def _refitted(task: Task, features: Features) -> Refit:
    def refit(rows: NDArray[np.int64], penalty: float) -> Callable[[NDArray[np.int64]], Floats]:
        problem = Problem.of(features, rows)
        head = Head(problem.solve(_logits(soft_targets(task.examples, rows)), penalty), problem.centre)
        return lambda some: head.logits(features.values, some)

    return refit


def _out_of_fold(task: Task, features: Rows, crossed: Sequence[Head]) -> Floats:
    logits = np.zeros(task.examples.truth.shape)
    for held, head in zip(task.held_out, crossed, strict=True):
        logits[held] = head.logits(features, held)
    return logits


def _score(task: Task, features: Rows, crossed: Sequence[Head]) -> float:
    logits, examples = _out_of_fold(task, features, crossed), task.examples
    return heads.mean_auc(logits, examples.truth, examples.sources, FEWEST_POSITIVES)


def _set(network: ThoraxNetwork, head: Head, bias: Floats, normal: NDArray[np.float32] | None = None) -> None:
    """Put a head into the network."""
    with torch.no_grad():
        network.weight.copy_(torch.from_numpy(head.weight.T).view_as(network.weight))
        network.bias.copy_(torch.from_numpy(bias))
        network.centre.copy_(torch.from_numpy(head.centre).view_as(network.centre))
        if normal is not None:
            network.normal.copy_(torch.from_numpy(normal))


def _normal(seen: Thoraxes, targets: Floats) -> NDArray[np.float32]:
    rows = np.sort(np.argsort(targets.sum(1), kind="stable")[: max(1, round(NORMAL * len(targets)))])
    return normal_chest(seen.brightness[rows], seen.lungs[rows])


def _evidence(task: Task, seen: Thoraxes, network: ThoraxNetwork, crossed: Sequence[Head]) -> Rows:
    """Evidence (N, L, CELLS, CELLS) of heads that did not see the image; the normal chests are those of all."""
    criteria = tuple((label.territory, label.differs) for label in task.like.labels)
    normal, bias = network.normal.numpy(), network.bias.detach().double().numpy()
    maps = Rows(task.store / "maps.npy", (len(task.examples), len(criteria), CELLS, CELLS), np.float32)
    for held, head in zip(task.held_out, crossed, strict=True):
        _set(network, head, bias)
        for rows in parts(np.sort(held), BATCH):
            with torch.inference_mode():
                found = network.maps(seen.features(rows)).numpy()
            maps[rows] = np.stack(
                [evidence(one, seen.seen(int(row)), normal, criteria) for row, one in zip(rows, found, strict=True)]
            )
    return maps
