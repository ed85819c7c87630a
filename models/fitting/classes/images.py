"""Exclusive classes of single images: a multinomial head under any localizer that reads it."""

from __future__ import annotations

from collections.abc import Callable

from models.fitting import heads
from models.fitting.classes import multinomial
from models.fitting.classes.fit import ClassFit
from models.fitting.classes.multinomial import PENALTIES
from models.fitting.frozen import Explain, extract, out_of_fold_maps, with_imagenet
from models.fitting.linear import Explainer, set_head
from models.fitting.rows import everything
from models.fitting.task import Task
from models.metrics.bags import bags_of
from models.networks.modules.tapped import CamNetwork

METHOD = (
    "Backbone frozen, convolutions rounded to float16 as stored; multinomial logistic regression with an L2 penalty on"
    " averaged features, whitened by how cells vary within images; classes weigh alike, and groups of one class;"
    " temperature scaling out of fold."
)


def fit(task: Task, localizer: Callable[[CamNetwork, float, float], Explainer], regions: str) -> ClassFit:
    """Fit the head and make out-of-fold maps; `localizer` as in `models.fitting.linear.fit`."""
    how = task.network
    network = with_imagenet(CamNetwork(how.taps, len(task.like.labels), how.border, deviations=how.deviations), task)
    features = extract(network, task)
    x, truth = features.pooled[everything(len(features.pooled))], task.examples.truth
    bags, whiten = bags_of(task.examples.patients, truth), heads.whitening(features.covariance)
    chosen = multinomial.choose(x, truth, bags, task.held_out, whiten, PENALTIES)
    explainer = localizer(network, how.mean, how.std)

    def explain(fold: int) -> Explain:
        set_head(network, chosen.crossed[fold])
        return lambda taps: explainer.explain(taps)[1]

    maps = out_of_fold_maps(features, task.held_out, explain, task.store)
    set_head(network, chosen.head)
    return ClassFit(network, how, chosen.logits, None, maps, chosen.penalty, chosen.scores, METHOD, regions)
