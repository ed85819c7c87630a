"""A federation: begun and averaged by a coordinator, who needs no data, and trained by each site on its own folder.

What is exchanged is what fine-tuning trains: the blocks of the backbone that are not frozen, the head, and the mean of
the features that it is centred on. With all 16 blocks frozen it is the linear head alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.card import Card
from models.data.datasets import read_examples, require_images
from models.errors import RunError
from models.learning.augment import unchanged
from models.learning.federation.averaging import averaged
from models.learning.federation.exchange import Contribution, Exchange, State, site_name
from models.learning.finetune import Classifier, Finetuning, build, read_split
from models.learning.images import Views, batches
from models.learning.loop import BACKBONE, Advance, freeze, learn
from models.learning.machine import Machine, autocast
from models.learning.options import FinetuneOptions
from models.learning.sampling import in_order
from models.metrics.ranking import Auc, auc_interval
from models.networks.modules.backbone_file import save_backbone
from models.packages import sha256

CENTRE = "centre"
NOTE = (
    "The backbone was fine-tuned from {start} by {rounds} rounds of federated averaging of {sites}, {images:,} images"
    " in all; weights, counts and figures alone were exchanged. Figures out of fold on these images are too good."
)


@dataclass(frozen=True, slots=True)
class Averaged:
    """What a round gave: the number of the next one, and the report of each site."""

    following: int
    reports: tuple[Contribution, ...]

    @property
    def score(self) -> float:
        """Of the weights that the round began with: the mean over sites by images."""
        return float(np.average([one.score for one in self.reports], weights=[one.images for one in self.reports]))


def start(folder: Path, like: Card, weights: Path, options: FinetuneOptions) -> None:
    """Begin a federation in a shared folder; RunError where it holds one, or the options name images or sources."""
    if options.unlabelled or options.source_weights:
        raise RunError("A federation has no --unlabelled and no --source-weights: each site has its own images.")
    assert like.network is not None
    labels = [label.name for label in like.labels]
    torch.manual_seed(options.seed)
    network = build(like.network, len(labels), options)
    network.backbone.load_imagenet(weights)
    for parameter in _head(network).values():
        torch.nn.init.zeros_(parameter)
    plan = {"labels": labels, "network": like.network.model_dump(mode="json"), "options": asdict(options)}
    plan |= {"weights": weights.name, "weights_sha256": sha256(weights)}
    Exchange(folder).begin(plan, _exchanged(network, options))


def train(
    folder: Path, data: Path, site: str, run: Path, like: Card, weights: Path, *, machine: Machine, advance: Advance
) -> tuple[int, Contribution]:
    """Train a round on the split "train" of a site's own folder; the round's number, and the contribution.

    Parameters
    ----------
    run
        A folder of the site's own: checkpoints and logits of its images stay there.

    Raises
    ------
    RunError, DataError, PackageError
        The card or the weights are not the federation's, or the data cannot be used.
    """
    exchange, name = Exchange(folder), site_name(site)
    options = planned(exchange.plan(), like, weights)
    number = exchange.newest
    split = read_split(data, [label.name for label in like.labels], options.seed)
    learner = Finetuning(split, like, options, weights, machine)
    _load(learner.network, exchange.start(number), keep_centre=number == 1)
    with torch.no_grad():
        before = learner.evaluate()
    own = run / f"round-{number:03}"
    own.mkdir(parents=True, exist_ok=True)
    last = learn(learner, replace(options, seed=options.seed + number), own, "", advance)[-1]
    report = Contribution(
        site=name,
        images=len(split.train),
        patients=len(set(split.train.patients.tolist())),
        positives=dict(zip(split.train.labels, split.train.truth.sum(0).tolist(), strict=True)),
        score=round(before.score, 4), held_out_loss=round(before.loss, 4),
        trained_score=round(last.score, 4), trained_loss=round(last.held_out_loss, 4),
    )  # fmt: skip
    exchange.contribute(number, _exchanged(learner.network, options), report)
    return number, report


def average(folder: Path, like: Card, weights: Path) -> Averaged:
    """Average what the sites sent, begin the next round, and write backbone.safetensors for `models train --weights`.

    Raises
    ------
    RunError
        Too few sites have sent their weights, or a file cannot be used; it is named.
    """
    exchange = Exchange(folder)
    options, number = planned(exchange.plan(), like, weights), exchange.newest
    contributions = exchange.contributions(number)
    state = averaged(exchange.start(number), contributions)
    exchange.write_start(number + 1, state)
    reports = tuple(report for _, report in contributions)
    network = _network(like, weights, options, state)
    sites = ", ".join(f"{one.site} ({one.images:,} images)" for one in reports)
    note = NOTE.format(start=weights.name, rounds=number, sites=sites, images=sum(one.images for one in reports))
    save_backbone(network.backbone, folder / BACKBONE, note)
    return Averaged(number + 1, reports)


def evaluate(
    folder: Path, data: Path, split: str, like: Card, weights: Path, *, machine: Machine, number: int = 0
) -> dict[str, Auc]:
    """AUC with its interval by patient of a round's weights on a folder, by label; `number` 0 is the newest round."""
    exchange = Exchange(folder)
    options = planned(exchange.plan(), like, weights)
    network = _network(like, weights, options, exchange.start(number or exchange.newest)).to(machine.device)
    assert like.network is not None
    examples = read_examples(data, split, [label.name for label in like.labels])
    require_images(examples)
    views, order = Views(examples.files, options.size, unchanged), in_order(len(examples), options.batch, 0)
    with torch.no_grad(), autocast(machine, options.precision):
        parts = [network.classify(network.features(x[:, 0])) for _, x in batches(views, order, like.network, machine)]
    logits = torch.cat(parts).double().cpu().numpy()
    return {
        label: auc_interval(logits[:, index], truth, examples.patients)
        for index, (label, truth) in enumerate(zip(examples.labels, examples.truth.T, strict=True))
        if 0 < truth.sum() < len(truth)
    }


def planned(plan: dict[str, Any], like: Card, weights: Path) -> FinetuneOptions:
    """The options of the plan; RunError where labels, network or first weights are others here."""
    assert like.network is not None
    here = {"labels": [label.name for label in like.labels], "network": like.network.model_dump(mode="json")}
    here |= {"weights_sha256": sha256(weights)}
    other = [name for name, value in here.items() if plan[name] != value]
    if other:
        raise RunError(f"The plan is another one: {', '.join(other)} differ; give --like and --weights of it.")
    return FinetuneOptions(**plan["options"] | {"size": tuple(plan["options"]["size"])})


def _network(like: Card, weights: Path, options: FinetuneOptions, state: State) -> Classifier:
    assert like.network is not None
    network = build(like.network, len(like.labels), options)
    network.backbone.load_imagenet(weights)
    _load(network, state)
    return network.eval()


def _head(network: Classifier) -> dict[str, Tensor]:
    return {name: value for name, value in network.named_parameters() if name.rpartition(".")[0].endswith("head")}


def _exchanged(network: Classifier, options: FinetuneOptions) -> State:
    """What is trained, and the centre of the features."""
    freeze(network, options.freeze)
    trained = {name: value for name, value in network.named_parameters() if value.requires_grad}
    return trained | {CENTRE: network.centre}


@torch.no_grad()
def _load(network: Classifier, state: State, *, keep_centre: bool = False) -> None:
    """Put exchanged weights into a network; in the first round a site centres on its own features."""
    there = dict(network.named_parameters()) | {CENTRE: network.centre}
    for name, value in state.items():
        if name != CENTRE or not keep_centre:
            there[name].copy_(value)
