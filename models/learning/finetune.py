"""Supervised fine-tuning of the backbone with labels of whole images, under the head that will read it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models.card import Card, Network
from models.data.datasets import Examples, read_examples, require_images
from models.data.files import write_whole
from models.errors import RunError
from models.fitting.heads import Flags, Floats, folds
from models.learning.augment import GENTLE, augmentation, unchanged
from models.learning.images import Views, batches
from models.learning.loop import HeldOutFigures
from models.learning.losses import LOSSES
from models.learning.machine import Machine
from models.learning.options import FinetuneOptions
from models.learning.sampling import balanced_weights, in_order, plan
from models.metrics.ranking import auc
from models.networks.modules.cbam import AttentionNetwork
from models.networks.modules.tapped import CamNetwork, pooled

FOLDS = 5
FEWEST = 3  # positives of a label within a source of the held-out fold, from which on its AUC counts
CENTRE_IMAGES = 128
HELD_OUT = "held_out.csv"
NOTE = (
    "The backbone was fine-tuned from {start} on four of five folds by patient of the same training images, the best"
    " epoch chosen on the fifth: figures out of fold on them are too good, those of other images are not."
)
Classifier = CamNetwork | AttentionNetwork


class Split(NamedTuple):
    """The training split less one fold by patient, and that fold."""

    train: Examples
    held_out: Examples


def read_split(data: Path, labels: Sequence[str], seed: int) -> Split:
    """Read the split "train" alone and hold a fold of its patients out.

    Raises
    ------
    RunError
        There are too few patients, or no label could be judged on the fold.
    """
    examples = read_examples(data, "train", labels)
    require_images(examples)
    if len(set(examples.patients.tolist())) < FOLDS:
        raise RunError(f"Too few patients to fine-tune: one of {FOLDS} folds of them is held out.")
    held = folds(examples.patients, FOLDS, seed)[0]
    split = Split(examples.rows(np.setdiff1d(np.arange(len(examples)), held)), examples.rows(held))
    if not aucs(np.zeros(split.held_out.truth.shape), split.held_out):
        raise RunError(
            f"Too few images to fine-tune: in the fold of {len(held)} images that is held out no label has {FEWEST}"
            f" images with and {FEWEST} without it."
        )
    return split


def aucs(logits: Floats, examples: Examples) -> dict[str, float]:
    """By "label (source)" the AUC, where there are `FEWEST` images with and without the label."""
    found = {}
    for source in sorted(set(examples.sources.tolist())):
        rows = examples.sources == source
        for index, label in enumerate(examples.labels):
            truth: Flags = examples.truth[rows, index]
            if FEWEST <= truth.sum() <= len(truth) - FEWEST:
                found[f"{label} ({source})"] = auc(logits[rows, index], truth)
    return found


def mean_within_sources(found: dict[str, float]) -> float:
    """Mean over sources of the mean over labels, of what `aucs` gave."""
    sources: dict[str, list[float]] = {}
    for name, value in found.items():
        sources.setdefault(name.rpartition(" ")[2], []).append(value)
    return float(np.mean([np.mean(values) for values in sources.values()]))


class Finetuning:
    """The `Learner` of classification; its score is the mean AUC within sources on the held-out fold."""

    def __init__(self, split: Split, like: Card, options: FinetuneOptions, weights: Path, machine: Machine) -> None:
        assert like.network is not None
        if len(split.train) < options.batch:
            raise RunError(f"{len(split.train)} images are too few for a batch of {options.batch}; give a smaller one.")
        self.split, self.how, self.options, self.machine = split, like.network, options, machine
        self.truth = torch.from_numpy(split.train.truth).float()
        self.loss = LOSSES[options.loss](self.truth)
        self.chances = balanced_weights(split.train.truth) if options.sampling == "balanced" else None
        self.views = Views(split.train.files, options.size, augmentation(GENTLE, options.size))
        self.plain = Views(split.held_out.files, options.size, unchanged)
        self.network = self._network(weights)
        self.seen: Floats = np.zeros(split.held_out.truth.shape)

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return len(self.split.train) // self.options.batch

    def losses(self, epoch: int) -> Iterator[Tensor]:
        """The loss of each batch."""
        order = plan(len(self.split.train), self.options.batch, self.options.seed, epoch, self.chances)
        for rows, x in batches(self.views, order, self.how, self.machine):
            yield self.loss(self._logits(x), self.truth[rows].to(x.device))

    def evaluate(self) -> HeldOutFigures:
        """Loss and AUC of the held-out fold."""
        logits = self._held_out_logits()
        self.seen = logits
        loss = self.loss(torch.from_numpy(logits).float(), torch.from_numpy(self.split.held_out.truth).float())
        found = aucs(logits, self.split.held_out)
        return HeldOutFigures(
            float(loss), mean_within_sources(found), {f"AUC {name}": value for name, value in found.items()}
        )

    def save_best(self, run: Path) -> None:
        """Write held_out.csv: of each image that is held out the logits that were seen last."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["image", *self.split.held_out.labels])
        for file, row in zip(self.split.held_out.files, self.seen, strict=True):
            writer.writerow([file.name, *(f"{value:.6g}" for value in row)])
        write_whole(run / HELD_OUT, stream.getvalue().encode())

    def saved_logits(self, run: Path) -> Floats:
        """(N, L) that `save_best` wrote."""
        with (run / HELD_OUT).open(newline="", encoding="utf-8") as stream:
            _, *rows = csv.reader(stream)
        return np.array([[float(value) for value in row[1:]] for row in rows])

    def _held_out_logits(self) -> Floats:
        """(N, L)."""
        order = in_order(len(self.split.held_out), self.options.batch, 0)
        with torch.no_grad():
            parts = [self._logits(x) for _, x in batches(self.plain, order, self.how, self.machine)]
        logits: Floats = torch.cat(parts).double().cpu().numpy()
        return logits

    def _logits(self, x: Tensor) -> Tensor:
        return self.network.classify(self.network.features(x[:, 0]))

    def _network(self, weights: Path) -> Classifier:
        """The network of the card with the start's backbone, centred features, a head that has frequencies alone."""
        torch.manual_seed(self.options.seed)
        network = build(self.how, len(self.split.train.labels), self.options.attention)
        network.backbone.load_imagenet(weights)
        head = network.head if isinstance(network, CamNetwork) else network.attended.head
        frequency = self.truth.mean(0).clamp(0.5 / len(self.truth), 1 - 0.5 / len(self.truth))
        nn.init.zeros_(head.weight)
        head.bias.data = torch.logit(frequency)
        network.eval().to(self.machine.device)
        network.centre.copy_(self._centre(network))
        return network

    def _centre(self, network: Classifier) -> Tensor:
        """Mean of the pooled features over the first images."""
        plain = Views(self.split.train.files[:CENTRE_IMAGES], self.options.size, unchanged)
        order = in_order(len(plain.files), self.options.batch, 0)
        with torch.no_grad():
            found = [pooled(network.features(x[:, 0])) for _, x in batches(plain, order, self.how, self.machine)]
        return torch.cat(found).mean(0)


def build(how: Network, labels: int, attention: str) -> Classifier:
    """The network of a card; with CBAM it ends in the last tap alone."""
    if attention == "cbam":
        return AttentionNetwork(how.taps[-1:], labels, how.border)
    return CamNetwork(how.taps, labels, how.border)
