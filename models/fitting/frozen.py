"""Features of all images by a frozen backbone, on disk, so that memory does not grow with them; networks on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from models.data.files import write_whole
from models.fitting.rows import Rows, everything, parts
from models.fitting.task import Task
from models.networks.modules.storage import halved
from models.networks.modules.tapped import TappedNetwork, on_one_grid, pooled, smoothed

BATCH = 8
SAVED_AFTER = 32  # batches: so many are computed again after a kill

Tapped = TypeVar("Tapped", bound=TappedNetwork)
Explain = Callable[[tuple[torch.Tensor, ...]], torch.Tensor]
"""Maps (N, L, h, w) of taps (N, c, h, w)."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Of N images, on disk: pooled (N, C), per tap the inner cells (N, c, h, w) in float16; how cells vary within."""

    pooled: Rows
    taps: tuple[Rows, ...]
    covariance: NDArray[np.float64]
    network: TappedNetwork

    def cells(self, rows: NDArray[np.int64]) -> tuple[torch.Tensor, ...]:
        """The inner cells of each tap (n, c, h, w) of some images, with deviations where the network has them."""
        return self.network.with_deviations(tuple(torch.from_numpy(tap[rows]).float() for tap in self.taps))


def with_imagenet(network: Tapped, task: Task) -> Tapped:
    """The network in evaluation mode with the published weights of the backbone, rounded as they are stored."""
    network.eval()
    network.backbone.load_imagenet(task.weights)
    halved(network.backbone)
    return network


def extract(network: TappedNetwork, task: Task) -> Features:
    """Features of all images by the frozen backbone, without the border; sets the network's `average`.

    What an earlier call wrote to `task.store` before it was killed is not computed again.
    """
    count = len(task.examples)
    taps = _taps(network, task)
    if len(network.average):
        total: NDArray[np.float64] = np.zeros(len(network.average))
        for rows in parts(everything(count), BATCH):
            total += pooled(tuple(torch.from_numpy(tap[rows]).float() for tap in taps)).double().sum(0).numpy()
        network.average.copy_(torch.from_numpy(total / count).float())
    store = Rows(task.store / "pooled.npy", (count, sum(network.widths)), np.float64)
    covariance: NDArray[np.float64] = np.zeros((len(network.centre), len(network.centre)))
    features = Features(store, taps, covariance, network)
    for done, rows in enumerate(parts(everything(count), BATCH), start=1):
        cells = features.cells(rows)
        store[rows] = pooled(cells).double().numpy()
        covariance += _within(cells) * (len(rows) / count)
        task.advance("pooling", min(done * BATCH, count), count)
    return features


def _taps(network: TappedNetwork, task: Task) -> tuple[Rows, ...]:
    """The inner cells of all images, by tap; continued from the count in the file `done`."""
    count, progress = len(task.examples), task.store / "done"
    done = int(progress.read_text()) if progress.is_file() else 0
    taps: tuple[Rows, ...] = ()
    network.to(task.device)
    for batch in task.batches(task.examples.files[done:] or task.examples.files[:1], BATCH):
        seen = _inner(network, batch, task)
        taps = taps or tuple(
            Rows(task.store / f"tap{number}.npy", (count, *tap.shape[1:]), np.float16)
            for number, tap in enumerate(seen)
        )
        if done == count:
            break  # all was there: one image told the shapes
        for rows, tap in zip(taps, seen, strict=True):
            rows[slice(done, done + len(batch))] = tap
        done += len(batch)
        if done == count or done // BATCH % SAVED_AFTER == 0:
            for rows in taps:
                rows.sync()
            write_whole(progress, str(done).encode())
        task.advance("features", done, count)
    network.to("cpu")
    return taps


def _inner(network: TappedNetwork, batch: NDArray[np.float32], task: Task) -> list[NDArray[np.float16]]:
    """The inner cells of each tap (n, c, h, w) of a batch (n, rows, columns)."""
    with torch.inference_mode():
        x = (torch.from_numpy(batch)[:, None].to(task.device) - task.network.mean) / task.network.std
        inner = network.inner(network.backbone(smoothed(x.expand(-1, 3, -1, -1))))
    return [tap.half().cpu().numpy() for tap in inner]


def _within(features: tuple[torch.Tensor, ...]) -> NDArray[np.float64]:
    """Covariance (C, C) of the cells of each image around its own mean."""
    cells = on_one_grid(features).flatten(2).double().numpy()
    centred = cells - cells.mean(2, keepdims=True)
    products: NDArray[np.float64] = np.einsum("nck,ndk->cd", centred, centred, optimize=True)
    products /= cells.shape[0] * cells.shape[2]
    return products


def out_of_fold_maps(
    features: Features, held_out: Sequence[NDArray[np.int64]], explain: Callable[[int], Explain], store: Path
) -> Rows:
    """Maps (N, L, h, w) of each image; `explain(fold)` gives what makes maps without having seen that fold."""
    maps: Rows | None = None
    for fold, rows in enumerate(held_out):
        mapped = explain(fold)
        for some in parts(np.sort(rows), BATCH):
            with torch.inference_mode():
                found = mapped(features.cells(some)).numpy()
            maps = maps or Rows(store / "maps.npy", (len(features.pooled), *found.shape[1:]), np.float32)
            maps[some] = found
    assert maps is not None
    return maps
