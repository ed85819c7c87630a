"""A linear head on averaged features, under any localizer that reads it: CAM, Grad-CAM, Grad-CAM++, HiResCAM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from models.evaluation.discrimination import FEWEST_POSITIVES
from models.fitting import heads
from models.fitting.frozen import Explain, Features, extract, out_of_fold_maps, with_imagenet
from models.fitting.heads import Head
from models.fitting.task import Fit, Task
from models.networks.modules.reconstruction.autoencoder import ReconstructionNetwork
from models.networks.modules.tapped import CamNetwork

PENALTIES = (0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
# The largest penalty whose mean out-of-fold AUC is this near to the best: its maps are the calmest.
NEAR_BEST = 0.005

METHOD = (
    "Backbone frozen, convolutions rounded to float16 as stored; logistic regression with an L2 penalty on pooled"
    " features of the inner cells, whitened by how cells vary within images (the penalty is one on the variance of the"
    " class activation map); Platt calibration, operating points and saliency thresholds on out-of-fold values, without"
    " any box."
)


class Explainer(Protocol):
    """A localizer by gradients on a network; see `models.localizers.base.NetworkLocalizer`."""

    def explain(self, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Logits (N, L) and maps (N, L, h, w) of features."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The penalty that cross-validation chose, the head of all images and that of each fold."""

    penalty: float
    scores: dict[float, float]
    head: Head
    crossed: list[Head]
    whiten: heads.Floats


def fit(task: Task, localizer: Callable[[CamNetwork, float, float], Explainer], regions: str) -> Fit:
    """Fit the head and make out-of-fold maps.

    Parameters
    ----------
    localizer
        Of (network, mean, std): what makes the maps.
    regions
        See `Fit.regions`.
    """
    how = task.network
    built = CamNetwork(how.taps, len(task.like.labels), how.border, deviations=how.deviations)
    network = with_imagenet(built, task)
    features = extract(network, task)
    chosen = choose(features, task)
    explainer = localizer(network, how.mean, how.std)

    def explain(fold: int) -> Explain:
        set_head(network, chosen.crossed[fold])
        return lambda taps: explainer.explain(taps)[1]

    maps = out_of_fold_maps(features, task.held_out, explain, task.store)
    set_head(network, chosen.head)
    logits = heads.out_of_fold(features.pooled, task.held_out, chosen.crossed, chosen.head.bias)
    scores = {str(penalty): score for penalty, score in chosen.scores.items()}
    return Fit(network, how, logits, maps, chosen.penalty, scores, features.pooled, chosen.whiten, METHOD, regions)


def choose(features: Features, task: Task) -> Chosen:
    """Choose the penalty by cross-validation by patient, and fit."""
    x, examples = features.pooled, task.examples
    whiten = heads.whitening(features.covariance)
    tried: dict[float, tuple[float, list[Head]]] = {}
    for index, penalty in enumerate(PENALTIES, start=1):
        crossed = heads.fold_heads(x, examples.truth, task.held_out, penalty, whiten)
        logits = heads.out_of_fold(x, task.held_out, crossed, np.zeros(len(examples.labels)))
        tried[penalty] = heads.mean_auc(logits, examples.truth, examples.sources, FEWEST_POSITIVES), crossed
        task.advance("penalty", index, len(PENALTIES))
    best = max(score for score, _ in tried.values())
    penalty = max(one for one, (score, _) in tried.items() if score >= best - NEAR_BEST)
    head, scores = heads.fit(x, examples.truth, penalty, whiten), {one: score for one, (score, _) in tried.items()}
    return Chosen(penalty, scores, head, tried[penalty][1], whiten)


def set_head(network: CamNetwork | ReconstructionNetwork, head: Head) -> None:
    """Put a head into the network."""
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(head.weight))
        network.head.bias.copy_(torch.from_numpy(head.bias))
        network.centre.copy_(torch.from_numpy(head.centre))
