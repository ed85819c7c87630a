"""SimCLR: two changed views of one radiograph are to be found among those of others. Chen et al., ICML 2020.

What is contrasted are the averaged taps that the heads of `models train` will read. Where labels.csv names patients,
a patient is held out whole; two images of one patient in a batch still count as different.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models.augmentation import STRONG
from models.card import Card, Network
from models.data.datasets import read_examples, require_images
from models.data.images import images_below
from models.errors import DataError, RunError
from models.fitting.heads import folds
from models.learning.augment import augmentation
from models.learning.images import Views, batches
from models.learning.loop import HeldOutFigures
from models.learning.losses import nt_xent
from models.learning.machine import Machine, autocast
from models.learning.options import PretrainOptions
from models.learning.sampling import in_order, plan
from models.networks.modules.tapped import TappedNetwork, pooled

FOLDS = 10
NOTE = (
    "The backbone was pretrained from {start} by {method} on {images} images without their labels; where images that a"
    " head is trained on were among them, it has seen them."
)


class Unlabelled(NamedTuple):
    """Files that are shown, and files that are held out to choose the epoch."""

    train: tuple[Path, ...]
    held_out: tuple[Path, ...]


class Projected(TappedNetwork):
    """The averaged taps under a projection of two layers, which is thrown away in the end."""

    def __init__(self, how: Network, width: int) -> None:
        super().__init__(how.taps, how.border)
        channels = sum(self.widths)
        self.projection = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, width))

    def forward(self, x: Tensor) -> Tensor:
        """Points (N, width) of an input (N, 3, rows, columns)."""
        points: Tensor = self.projection(pooled(self.features(x)))
        return points


def read_unlabelled(data: Path, seed: int) -> Unlabelled:
    """The split "train" of a folder with labels.csv, else all images below the folder; a tenth is held out.

    Raises
    ------
    DataError
        There is no image.
    """
    if (data / "labels.csv").is_file():
        examples = read_examples(data, "train", ())
        require_images(examples)
        files, groups = examples.files, examples.patients
    elif not data.is_dir():
        raise DataError(f"There is no folder {data}.")
    else:
        files = images_below(data)
        groups = np.arange(len(files))
    count = len(set(groups.tolist()))
    if count < FOLDS:
        raise RunError(f"Too few images to pretrain below {data}: {count} images or patients, {FOLDS} are needed.")
    held = set(folds(groups, FOLDS, seed)[0].tolist())
    kept = tuple(file for row, file in enumerate(files) if row not in held)
    return Unlabelled(kept, tuple(files[row] for row in sorted(held)))


class Pretraining:
    """The `Learner` of NT-Xent; its score is less the loss of the held-out images, always changed alike."""

    def __init__(
        self, images: Unlabelled, like: Card, options: PretrainOptions, weights: Path, machine: Machine
    ) -> None:
        assert like.network is not None
        if len(images.train) < options.batch or len(images.held_out) < 2:
            raise RunError(
                f"Too few images to pretrain: {len(images.train)} and {len(images.held_out)} held out; a batch of"
                f" {options.batch} needs as many, and two held out."
            )
        self.images, self.how, self.options, self.machine = images, like.network, options, machine
        self.strength = STRONG.model_copy(update={"flip": like.augmentation is not None and like.augmentation.flip})
        augment = augmentation(self.strength, options.size)
        self.views = Views(images.train, options.size, augment, 2)
        self.held_out = Views(images.held_out, options.size, augment, 2)
        torch.manual_seed(options.seed)
        self.network = Projected(self.how, options.width)
        self.network.backbone.load_imagenet(weights)
        self.network.to(machine.device)

    @property
    def kept(self) -> Projected:
        """The network itself."""
        return self.network

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return len(self.images.train) // self.options.batch

    def losses(self, epoch: int) -> Iterator[Tensor]:
        """NT-Xent of each batch."""
        order = plan(len(self.images.train), self.options.batch, self.options.seed, epoch)
        for _, x in batches(self.views, order, self.how, self.machine):
            yield self._loss(x)

    def evaluate(self) -> HeldOutFigures:
        """NT-Xent of the held-out images in batches as near to the training's as they fill."""
        order = in_order(len(self.images.held_out), self.options.batch, self.options.seed)
        order = [part for part in order if len(part) > 1]
        found = [float(self._loss(x)) for _, x in batches(self.held_out, order, self.how, self.machine)]
        loss = float(np.average(found, weights=[len(part) for part in order]))
        return HeldOutFigures(loss, -loss, {})

    def save_best(self, run: Path) -> None:
        """There is nothing more than the loss."""

    def _loss(self, x: Tensor) -> Tensor:
        points = self._points(x.flatten(0, 1), self.network)
        return nt_xent(points[0::2], points[1::2], self.options.temperature)

    def _points(self, x: Tensor, network: Projected) -> Tensor:
        """(N, width) in fp32."""
        with autocast(self.machine, self.options.precision):
            points: Tensor = network(x)
        return points.float()
