"""A linear head on averaged features, under any localizer that reads it: CAM, Grad-CAM, Grad-CAM++, HiResCAM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from models.evaluation import FEWEST_POSITIVES
from models.fitting import Fit, Task, heads
from models.fitting.frozen import Explain, Features, extract, out_of_fold_maps, with_imagenet
from models.fitting.heads import Head
from models.localizers.base import NetworkLocalizer
from models.localizers.cam import CamLocalizer
from models.localizers.gradcam import GradCamLocalizer
from models.localizers.gradcampp import GradCamPlusPlusLocalizer
from models.localizers.hirescam import HiResCamLocalizer
from models.networks.tapped import CamNetwork

PENALTIES = (0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
# The largest penalty whose mean out-of-fold AUC is this near to the best: its maps are the calmest.
NEAR_BEST = 0.005

LOCALIZERS: dict[str, type[NetworkLocalizer]] = {
    "cam": CamLocalizer,
    "grad-cam": GradCamLocalizer,
    "grad-cam++": GradCamPlusPlusLocalizer,
    "hirescam": HiResCamLocalizer,
}
METHOD = (
    "Backbone frozen, convolutions rounded to float16 as stored; logistic regression with an L2 penalty on pooled"
    " features of the inner cells, whitened by how cells vary within images (the penalty is one on the variance of the"
    " class activation map); Platt calibration, operating points and saliency thresholds on out-of-fold values, without"
    " any box."
)
REGIONS = {
    "cam": "Regions are class activation maps: they show what raised the score and outline nothing.",
    "grad-cam": "Regions are Grad-CAM maps, which for this network are the positive part of class activation maps.",
    "grad-cam++": "Regions are Grad-CAM++ maps: channels with a negative weight are left out, so they show less of what"
    " the score is made of than class activation maps do.",
    "hirescam": "Regions are HiResCAM maps, which for this network are class activation maps divided by the cells.",
}


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The penalty that cross-validation chose, the head of all images and that of each fold."""

    penalty: float
    scores: dict[float, float]
    head: Head
    crossed: list[Head]
    whiten: heads.Floats


def fit(task: Task) -> Fit:
    """Fit the head and make out-of-fold maps by the card's localizer."""
    how, name = task.network, task.like.localizer
    built = CamNetwork(how.taps, len(task.like.labels), how.border, deviations=how.deviations)
    network = with_imagenet(built, task)
    features = extract(network, task)
    chosen = choose(features, task)
    localizer = LOCALIZERS[name](network, how.mean, how.std)

    def explain(fold: int) -> Explain:
        set_head(network, chosen.crossed[fold])
        return lambda taps: localizer.explain(taps)[1]

    maps = out_of_fold_maps(features.cells, task.held_out, explain)
    set_head(network, chosen.head)
    logits = heads.out_of_fold(features.pooled, task.held_out, chosen.crossed, chosen.head.bias)
    scores = {str(penalty): score for penalty, score in chosen.scores.items()}
    return Fit(network, how, logits, maps, chosen.penalty, scores, METHOD, REGIONS[name])


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


def set_head(network: CamNetwork, head: Head) -> None:
    """Put a head into the network."""
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(head.weight))
        network.head.bias.copy_(torch.from_numpy(head.bias))
        network.centre.copy_(torch.from_numpy(head.centre))
