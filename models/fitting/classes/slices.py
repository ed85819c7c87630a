"""Slices as instances, groups as bags: a multinomial head, and attention where the folds show that it helps."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import softmax

from models.fitting import heads
from models.fitting.classes import attention, multinomial
from models.fitting.classes.attention import Attended, Recipe
from models.fitting.classes.fit import ClassFit
from models.fitting.classes.multinomial import NEAR_BEST, PENALTIES, Chosen
from models.fitting.frozen import Explain, extract, out_of_fold_maps, with_imagenet
from models.fitting.heads import Floats
from models.fitting.linear import set_head
from models.fitting.rows import everything
from models.fitting.task import Task
from models.metrics.bags import Bags, bags_of
from models.metrics.classes import macro
from models.networks.modules.slice_bag import SliceBag

MEAN = "bags: mean of slices"
TRIED = {"bags: attention by bags": False, "bags: attention by bags and slices": True}
METHOD = (
    "Backbone frozen, convolutions rounded to float16 as stored; multinomial logistic regression with an L2 penalty on"
    " averaged features of slices, whitened by how cells vary within slices; classes weigh alike, and so do bags of one"
    " class; a bag's logits are the {pooling} of its slices' logits, chosen on folds by group ({tried}); temperature"
    " scaling of bags out of fold."
)
REGIONS = "Regions are class activation maps of slices, weighted by attention: they show what raised the score."


def fit(task: Task) -> ClassFit:
    """Fit head and attention, and make out-of-fold maps."""
    how = task.network
    network = with_imagenet(SliceBag(how.taps, len(task.like.labels), how.border), task)
    features = extract(network, task)
    x, truth = features.pooled[everything(len(features.pooled))], task.examples.truth
    bags, whiten = bags_of(task.examples.patients, truth), heads.whitening(features.covariance)
    chosen = multinomial.choose(x, truth, bags, task.held_out, whiten, PENALTIES)
    name, crossed, final, scores = _attended(x, bags, chosen, whiten, task)

    def explain(fold: int) -> Explain:
        set_head(network, crossed[fold].head)
        return network.maps

    maps = out_of_fold_maps(features, task.held_out, explain, task.store)
    _install(network, final)
    logits = np.zeros(truth.shape)
    for held, one in zip(task.held_out, crossed, strict=True):
        logits[held] = one.head.logits(x[held])
    tried = "; ".join(f"{key.removeprefix('bags: ')} {value:.3f}" for key, value in scores.items() if "bags" in key)
    pooling = "mean" if name == MEAN else "attention-weighted mean"
    method = METHOD.format(pooling=pooling, tried=f"macro AUC of bags: {tried}")
    of_bags = _out_of_fold(x, bags, crossed, task)
    return ClassFit(network, how, logits, of_bags, maps, chosen.penalty, scores, method, REGIONS)


def _attended(
    x: Floats, bags: Bags, chosen: Chosen, whiten: Floats, task: Task
) -> tuple[str, list[Attended], Attended, dict[str, float]]:
    """The pooling with the best macro AUC of bags out of fold, the mean where none is clearly better."""
    truth, width = task.examples.truth, x.shape[1]
    found = {MEAN: [attention.plain(width, head) for head in chosen.crossed]}
    kept = [np.setdiff1d(everything(len(x)), held) for held in task.held_out]
    recipes = {name: Recipe(chosen.penalty, slices, task.seed) for name, slices in TRIED.items()}
    for number, (name, recipe) in enumerate(recipes.items(), start=1):
        pairs = zip(kept, chosen.crossed, strict=True)
        found[name] = [attention.fit(x, truth, bags, rows, whiten, head, recipe) for rows, head in pairs]
        task.advance("attention", number, len(TRIED))
    of_bags = {name: _out_of_fold(x, bags, crossed, task) for name, crossed in found.items()}
    ones = np.ones(len(bags))
    scores = {name: macro(softmax(logits, 1), bags.truth, ones) for name, logits in of_bags.items()}
    best = max(scores, key=lambda name: scores[name])
    best = best if scores[best] > scores[MEAN] + NEAR_BEST else MEAN
    final = (
        attention.plain(width, chosen.head)
        if best == MEAN
        else attention.fit(x, truth, bags, everything(len(x)), whiten, chosen.head, recipes[best])
    )
    return best, found[best], final, chosen.scores | scores


def _out_of_fold(x: Floats, bags: Bags, crossed: list[Attended], task: Task) -> Floats:
    """Logits (B, L) of bags by what did not see their group."""
    logits = np.zeros(bags.truth.shape)
    for held, one in zip(task.held_out, crossed, strict=True):
        for bag in np.unique(bags.index[held]):
            logits[bag] = attention.bag_logits(x, bags, int(bag), one)
    return logits


def _install(network: SliceBag, attended: Attended) -> None:
    set_head(network, attended.head)
    with torch.no_grad():
        network.attention.load_state_dict(attended.attention.state_dict())
