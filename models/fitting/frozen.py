"""Features of all images by a frozen backbone, and networks on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.data.images import read_images
from models.fitting.task import Task
from models.networks.modules.storage import Built, halved
from models.networks.modules.tapped import TappedNetwork, on_one_grid, pooled, smoothed

BATCH = 8

Explain = Callable[[tuple[torch.Tensor, ...]], torch.Tensor]
"""Maps (N, L, h, w) of taps (N, c, h, w)."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Of N images: pooled (N, C), per tap the inner cells (N, c, h, w) in float16, and how cells vary within images."""

    pooled: NDArray[np.float64]
    cells: tuple[torch.Tensor, ...]
    covariance: NDArray[np.float64]


def with_imagenet(network: Built, task: Task) -> Built:
    """The network in evaluation mode with the published weights of the backbone, rounded as they are stored."""
    assert isinstance(network, TappedNetwork)
    network.eval()
    network.backbone.load_imagenet(task.weights)
    halved(network.backbone)
    return network


def extract(network: TappedNetwork, task: Task) -> Features:
    """Features of all images by the frozen backbone, without the border; sets the network's `average`."""
    seen: list[tuple[torch.Tensor, ...]] = []
    for batch in read_images(task.examples.files, task.size, BATCH):
        with torch.inference_mode():
            x = (torch.from_numpy(batch)[:, None] - task.network.mean) / task.network.std
            inner = network.inner(network.backbone(smoothed(x.expand(-1, 3, -1, -1))))
        seen.append(tuple(feature.half() for feature in inner))
        task.advance("features", min(len(seen) * BATCH, len(task.examples)), len(task.examples))
    if len(network.average):
        means = torch.cat([pooled(tuple(tap.float() for tap in taps)) for taps in seen]).double().mean(0)
        network.average.copy_(means.float())
    averages, cells, covariances = [], [], []
    while seen:
        features = network.with_deviations(tuple(tap.float() for tap in seen.pop(0)))
        averages.append(pooled(features).double().numpy())
        cells.append([feature.half() for feature in features])
        covariances.append(_within(features) * len(features[0]))
    joined = tuple(torch.cat(parts) for parts in zip(*cells, strict=True))
    return Features(np.concatenate(averages), joined, np.sum(covariances, axis=0) / len(task.examples))


def _within(features: tuple[torch.Tensor, ...]) -> NDArray[np.float64]:
    """Covariance (C, C) of the cells of each image around its own mean."""
    cells = on_one_grid(features).flatten(2).double().numpy()
    centred = cells - cells.mean(2, keepdims=True)
    products: NDArray[np.float64] = np.einsum("nck,ndk->cd", centred, centred, optimize=True)
    products /= cells.shape[0] * cells.shape[2]
    return products


def out_of_fold_maps(
    cells: tuple[torch.Tensor, ...], held_out: Sequence[NDArray[np.int64]], explain: Callable[[int], Explain]
) -> NDArray[np.float32]:
    """Maps (N, L, h, w) of each image; `explain(fold)` gives what makes maps without having seen that fold."""
    maps: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(cells[0])
    for fold, rows in enumerate(held_out):
        mapped = explain(fold)
        for row in rows:
            with torch.inference_mode():
                maps[row] = mapped(tuple(tap[row : row + 1].float() for tap in cells))[0].numpy()
    return np.stack(maps)
