"""Supervised fine-tuning of the backbone with labels of whole images, under the head that will read it."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models.augmentation import GENTLE
from models.card import Card, Network
from models.data.datasets import Examples, read_examples, require_images
from models.data.files import write_whole
from models.errors import RunError
from models.fitting.heads import Flags, Floats, folds
from models.learning.augment import augmentation, unchanged
from models.learning.images import Views, batches
from models.learning.loop import HeldOutFigures
from models.learning.losses import LOSSES
from models.learning.machine import Machine, autocast
from models.learning.options import EQUAL, FinetuneOptions, given_weights
from models.learning.sampling import balanced_weights, endless, in_order, plan, source_weights
from models.learning.teacher import consistency, follow, ramp, teacher_of, unlabelled_images
from models.metrics.ranking import auc
from models.networks.modules.attention.cbam import AttentionNetwork
from models.networks.modules.hidden import HiddenNetwork
from models.networks.modules.tapped import CamNetwork, pooled

FOLDS = 5
FEWEST = 3  # positives of a label within a source of the held-out fold, from which on its AUC counts
CENTRE_IMAGES = 128
HELD_OUT = "held_out.csv"
NOTE = (
    "The backbone was fine-tuned from {start} on four of five folds by patient of the same training images, the best"
    " epoch chosen on the fifth: figures out of fold on them are too good, those of other images are not."
)
Classifier = CamNetwork | AttentionNetwork | HiddenNetwork


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
        self.chances = _chances(split.train, options)
        self.strength = like.augmentation or GENTLE
        augment = augmentation(self.strength, options.size)
        self.views = Views(split.train.files, options.size, augment)
        files = unlabelled_images(Path(options.unlabelled), options.batch) if options.unlabelled else ()
        self.unlabelled = Views(files, options.size, augment, 2) if files else None
        self.plain = Views(split.held_out.files, options.size, unchanged)
        self.network = self._network(weights)
        self.teacher = teacher_of(self.network) if self.unlabelled else None
        if self.teacher is not None:
            self.network.add_module("teacher", self.teacher)  # so that a checkpoint has it
        self.seen: Floats = np.zeros(split.held_out.truth.shape)

    @property
    def kept(self) -> Classifier:
        """The teacher where there is one."""
        return self.network if self.teacher is None else self.teacher

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return len(self.split.train) // self.options.batch

    def losses(self, epoch: int) -> Iterator[Tensor]:
        """The loss of each batch."""
        seed = self.options.seed
        order = plan(len(self.split.train), self.options.batch, seed, epoch, self.chances)
        more = self._consistencies(epoch)
        torch.manual_seed(_epoch_seed(seed, epoch))  # of what dropout drops
        self._dropping(True)
        for rows, x in batches(self.views, order, self.how, self.machine):
            loss = self.loss(self._logits(x[:, 0], self.network), self.truth[rows].to(x.device))
            yield loss + next(more)
            if self.teacher is not None:
                trained = (one for name, one in self.network.named_parameters() if not name.startswith("teacher."))
                follow(self.teacher.parameters(), trained, self.options.decay)
        self._dropping(False)

    def _dropping(self, on: bool) -> None:
        if isinstance(self.network, HiddenNetwork):
            self.network.learning(on)

    def _consistencies(self, epoch: int) -> Iterator[Tensor]:
        """For each step what the mean teacher adds to the loss; 0 without one."""
        if self.teacher is None or self.unlabelled is None:
            yield from itertools.repeat(torch.zeros((), device=self.machine.device))
            return
        count, done = self.steps, epoch * self.steps
        order = endless(len(self.unlabelled.files), self.options.batch, self.options.seed + 1, epoch, count)
        for step, (_, x) in enumerate(batches(self.unlabelled, order, self.how, self.machine), start=done):
            with torch.no_grad():
                wanted = self._logits(x[:, 1], self.teacher)
            weight = self.options.consistency * ramp(step, self.options.epochs * count)
            yield weight * consistency(self._logits(x[:, 0], self.network), wanted)

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
            parts = [self._logits(x[:, 0], self.kept) for _, x in batches(self.plain, order, self.how, self.machine)]
        logits: Floats = torch.cat(parts).double().cpu().numpy()
        return logits

    def _logits(self, x: Tensor, network: Classifier) -> Tensor:
        with autocast(self.machine, self.options.precision):
            logits = network.classify(network.features(x))
        return logits.float()

    def _network(self, weights: Path) -> Classifier:
        """The network of the card with the start's backbone, centred features, a head that has frequencies alone."""
        torch.manual_seed(self.options.seed)
        network = build(self.how, len(self.split.train.labels), self.options)
        network.backbone.load_imagenet(weights)
        head = network.attended.head if isinstance(network, AttentionNetwork) else network.head
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


def _chances(examples: Examples, options: FinetuneOptions) -> Floats | None:
    """Of each image the chance to be drawn; None where each is shown once."""
    balanced = balanced_weights(examples.truth) if options.sampling == "balanced" else None
    if not options.source_weights:
        return balanced
    given = given_weights(options.source_weights)
    unknown = sorted(set(given) - set(examples.sources.tolist()))
    if unknown:
        there = ", ".join(sorted(set(examples.sources.tolist())))
        raise RunError(f"No image is of the source {', '.join(unknown)}; labels.csv has: {there}.")
    chances = source_weights(examples.sources, {} if options.source_weights == EQUAL else given)
    if balanced is not None:
        chances *= balanced
    weights: Floats = chances / chances.sum()
    return weights


def _epoch_seed(seed: int, epoch: int) -> int:
    return int(np.random.default_rng([seed, epoch]).integers(2**32))


def build(how: Network, labels: int, options: FinetuneOptions) -> Classifier:
    """The network of a card; with CBAM it ends in the last tap alone."""
    if options.attention == "cbam":
        return AttentionNetwork(how.taps[-1:], labels, how.border)
    if options.hidden or options.dropout:
        return HiddenNetwork(how.taps, labels, how.border, options.hidden, options.dropout)
    return CamNetwork(how.taps, labels, how.border)
