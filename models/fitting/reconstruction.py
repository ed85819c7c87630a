"""An autoencoder of images without a finding; see `models.networks.modules.autoencoder`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.data.images import read_images
from models.evaluation.discrimination import FEWEST_POSITIVES
from models.fitting import heads
from models.fitting.frozen import BATCH
from models.fitting.heads import Flags, Floats, Head
from models.fitting.linear import set_head
from models.fitting.task import Fit, Task
from models.networks.modules.autoencoder import SIDE, Autoencoder, ReconstructionNetwork

EPOCHS = 15
RATE = 3e-3
BATCH_OF_TRAINING = 16
PENALTIES = (0.01, 0.03, 0.1, 0.3)
METHOD = (
    "A convolutional autoencoder at 64 x 64 trained on the training images without any of the labels (Adam, mean"
    " absolute error); logistic regression with an L2 penalty on its absolute residual in 8 x 8 places, of autoencoders"
    " that did not see the image; Platt calibration, operating points and saliency thresholds on out-of-fold values,"
    " without any box."
)
REGIONS = (
    "Regions are where an autoencoder of images without a finding cannot redraw the image: edges, devices and marks as"
    " well as findings. They are the same for every label and outline nothing."
)


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """Of all images by one autoencoder: the map (N, 1, 32, 32) and what the head sees of it (N, 64)."""

    maps: Tensor
    cells: Floats


def fit(task: Task) -> Fit:
    """Fit an autoencoder of all normal images and one a fold, then the head on out-of-fold residuals."""
    small, truth = _small(task), task.examples.truth
    normal: Flags = np.logical_not(truth.any(axis=1, keepdims=True))[:, 0]
    crossed, count = list[ReconstructionNetwork](), len(task.held_out) + 1
    for fold, rows in enumerate(task.held_out, start=1):
        kept = normal.copy()
        kept[rows] = False
        crossed.append(_network(small[kept], truth.shape[1], task.seed))
        task.advance("autoencoder", fold, count)
    network = _network(small[normal], truth.shape[1], task.seed)
    task.advance("autoencoder", count, count)
    held = _joined(small, crossed, task)
    penalty, scores, head, logits = _head(held.cells, task)
    set_head(network, head)
    maps = np.broadcast_to(held.maps.numpy(), (len(truth), truth.shape[1], *held.maps.shape[2:]))
    return Fit(network, None, logits, maps, penalty, scores, method=METHOD, regions=REGIONS)


def _small(task: Task) -> Tensor:
    """All images as the autoencoder sees them, (N, 1, 64, 64)."""
    parts = list[Tensor]()
    for batch in read_images(task.examples.files, task.size, BATCH):
        parts.append(functional.adaptive_avg_pool2d(torch.from_numpy(batch)[:, None], SIDE))
        task.advance("images", sum(map(len, parts)), len(task.examples))
    return torch.cat(parts)


def _network(images: Tensor, labels: int, seed: int) -> ReconstructionNetwork:
    torch.manual_seed(seed)
    network = ReconstructionNetwork(labels)
    train_autoencoder(network.autoencoder, images)
    return network.eval()


def train_autoencoder(autoencoder: Autoencoder, images: Tensor, epochs: int = EPOCHS) -> list[float]:
    """Train in place; the mean absolute error of each epoch. The rate falls along a cosine."""
    optimizer = torch.optim.Adam(autoencoder.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    errors = []
    for _ in range(epochs):
        total = 0.0
        for rows in torch.split(torch.randperm(len(images)), BATCH_OF_TRAINING):
            optimizer.zero_grad()
            error = (autoencoder(images[rows]) - images[rows]).abs().mean()
            error.backward()
            optimizer.step()
            total += float(error.detach()) * len(rows) / len(images)
        schedule.step()
        errors.append(total)
    return errors


def _residuals(network: ReconstructionNetwork, images: Tensor) -> Residuals:
    with torch.inference_mode():
        maps = torch.cat([network.features(part)[0] for part in torch.split(images, BATCH_OF_TRAINING)])
        return Residuals(maps, network.cells((maps,)).double().numpy())


def _joined(images: Tensor, crossed: list[ReconstructionNetwork], task: Task) -> Residuals:
    """Residuals of each image by the autoencoder that did not see it."""
    parts = [_residuals(network, images[rows]) for network, rows in zip(crossed, task.held_out, strict=True)]
    order = np.argsort(np.concatenate(task.held_out))
    cells = np.concatenate([part.cells for part in parts])[order]
    return Residuals(torch.cat([part.maps for part in parts])[torch.from_numpy(order)], cells)


def _head(cells: Floats, task: Task) -> tuple[float, dict[str, float], Head, Floats]:
    """The head on residuals of unseen images, its penalty by cross-validation, and its out-of-fold logits."""
    truth: Flags = task.examples.truth
    scaling = np.diag(1 / (cells.std(0) + 1e-9))
    tried = {one: heads.fold_heads(cells, truth, task.held_out, one, scaling) for one in PENALTIES}
    zero = np.zeros(truth.shape[1])
    scores = {
        one: heads.mean_auc(
            heads.out_of_fold(cells, task.held_out, crossed, zero), truth, task.examples.sources, FEWEST_POSITIVES
        )
        for one, crossed in tried.items()
    }
    penalty = max(scores, key=lambda one: scores[one])
    head = heads.fit(cells, truth, penalty, scaling)
    logits = heads.out_of_fold(cells, task.held_out, tried[penalty], head.bias)
    return penalty, {str(one): score for one, score in scores.items()}, head, logits
