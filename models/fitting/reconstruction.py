"""What draws images without a finding again, and a head on what it fails at; the networks are in `modules`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.data.images import read_images
from models.errors import DataError
from models.evaluation.discrimination import FEWEST_POSITIVES
from models.fitting import heads
from models.fitting.frozen import BATCH
from models.fitting.heads import Flags, Floats, Head
from models.fitting.linear import set_head
from models.fitting.task import Fit, Task
from models.networks.modules.reconstruction import denoising, variational
from models.networks.modules.reconstruction.autoencoder import SIDE, Autoencoder, Drawer, ReconstructionNetwork
from models.networks.modules.reconstruction.denoising import DenoisingUNet
from models.networks.modules.reconstruction.variational import VariationalAutoencoder

EPOCHS = 15
EPOCHS_OF_LARGE = 8  # at the input's own size
RATE = 3e-3
BATCH_OF_TRAINING = 16
PENALTIES = (0.01, 0.03, 0.1, 0.3)
METHOD = (
    "{} trained on the training images without any of the labels (Adam, mean"
    " absolute error); logistic regression with an L2 penalty on its absolute residual in 8 x 8 places, of {}"
    " that did not see the image; Platt calibration, operating points and saliency thresholds on out-of-fold values,"
    " without any box."
)
REGIONS = (
    "Regions are where {} of images without a finding cannot redraw the image: edges, devices and marks as"
    " well as findings. They are the same for every label and outline nothing."
)


@dataclass(frozen=True, slots=True)
class Drawing:
    """A way to draw images again.

    Attributes
    ----------
    build
        A `Drawer` with random weights.
    side, stride
        Pixels of what it sees, None: the card's size, which has to be a multiple of the stride.
    texts
        For the card: with its size, in the plural, and in the singular.
    """

    build: Callable[[], nn.Module]
    side: int | None
    stride: int
    epochs: int
    texts: tuple[str, str, str]


SMALL = Drawing(
    Autoencoder, SIDE, 1, EPOCHS,
    ("A convolutional autoencoder at 64 x 64", "autoencoders", "an autoencoder"),
)  # fmt: skip
UNET = Drawing(
    DenoisingUNet, None, denoising.STRIDE, EPOCHS_OF_LARGE,
    ("A denoising U-Net (Kascenas et al., MIDL 2022) at the input's own size", "U-Nets", "a denoising U-Net"),
)  # fmt: skip
VARIATIONAL = Drawing(
    VariationalAutoencoder, None, variational.STRIDE, EPOCHS_OF_LARGE,
    ("A variational autoencoder at the input's own size", "autoencoders", "a variational autoencoder"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """Of all images by one autoencoder: the map (N, 1, 32, 32) and what the head sees of it (N, 64)."""

    maps: Tensor
    cells: Floats


def fit(task: Task, drawing: Drawing = SMALL) -> Fit:
    """Fit what draws normal images again, one of all and one a fold, then the head on out-of-fold residuals.

    Raises
    ------
    DataError
        The card's size does not suit it, or there are no normal images.
    """
    truth = task.examples.truth
    normal: Flags = np.logical_not(truth.any(axis=1, keepdims=True))[:, 0]
    _check(task, drawing, normal)
    images = _images(task, drawing)
    crossed, count = list[ReconstructionNetwork](), len(task.held_out) + 1
    for fold, rows in enumerate(task.held_out, start=1):
        kept = normal.copy()
        kept[rows] = False
        crossed.append(_network(images[kept], drawing, task))
        task.advance("autoencoder", fold, count)
    network = _network(images[normal], drawing, task)
    task.advance("autoencoder", count, count)
    held = _joined(images, crossed, task)
    penalty, scores, head, logits = _head(held.cells, task)
    set_head(network, head)
    maps = np.broadcast_to(held.maps.numpy(), (len(truth), truth.shape[1], *held.maps.shape[2:]))
    method, regions = METHOD.format(*drawing.texts[:2]), REGIONS.format(drawing.texts[2])
    return Fit(network, None, logits, maps, penalty, scores, method=method, regions=regions)


def _check(task: Task, drawing: Drawing, normal: Flags) -> None:
    if drawing.side is None and any(length % drawing.stride for length in task.size):
        raise DataError(
            f"input.size of the card is {task.size[0]} x {task.size[1]}, and {drawing.texts[2]} needs multiples of"
            f" {drawing.stride}: change it there."
        )
    if not all(normal[np.setdiff1d(np.arange(len(normal)), rows)].any() for rows in task.held_out):
        raise DataError("No training image is without every label, and a reconstruction learns of such images alone.")


def _images(task: Task, drawing: Drawing) -> Tensor:
    """All images as they are drawn again, (N, 1, side, side); of the card's size in half precision."""
    parts = list[Tensor]()
    for batch in read_images(task.examples.files, task.size, BATCH):
        x = torch.from_numpy(batch)[:, None]
        parts.append(x.half() if drawing.side is None else functional.adaptive_avg_pool2d(x, drawing.side))
        task.advance("images", sum(map(len, parts)), len(task.examples))
    return torch.cat(parts)


def _network(images: Tensor, drawing: Drawing, task: Task) -> ReconstructionNetwork:
    torch.manual_seed(task.seed)
    network = ReconstructionNetwork(task.examples.truth.shape[1], drawing.build(), drawing.side).to(task.device)
    train_autoencoder(network.autoencoder, images, drawing.epochs)
    return network.cpu().eval()


def train_autoencoder(autoencoder: nn.Module, images: Tensor, epochs: int = EPOCHS) -> list[float]:
    """Train a `Drawer` in place, where it is; the mean loss of each epoch. The rate falls along a cosine."""
    drawer = cast("Drawer", autoencoder)
    device = next(autoencoder.parameters()).device
    optimizer = torch.optim.Adam(autoencoder.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    errors = []
    for _ in range(epochs):
        total = 0.0
        for rows in torch.split(torch.randperm(len(images)), BATCH_OF_TRAINING):
            optimizer.zero_grad()
            error = drawer.loss(images[rows].float().to(device))
            error.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += float(error.detach()) * len(rows) / len(images)
        schedule.step()
        errors.append(total)
    return errors


def _residuals(network: ReconstructionNetwork, images: Tensor) -> Residuals:
    with torch.inference_mode():
        maps = torch.cat([network.features(part.float())[0] for part in torch.split(images, BATCH_OF_TRAINING)])
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
