"""Features of all volumes by the frozen slice encoder: once, on disk, in float16."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from models.anatomy.volumes.lattice import Counts
from models.anatomy.volumes.working import Working
from models.data.volumes.reading import read_volume
from models.fitting.volumes.store import Arrays
from models.fitting.volumes.task import VolumeTask
from models.networks.modules.storage import halved
from models.networks.modules.volumes import encoding
from models.networks.modules.volumes.sliced import SlicedNetwork, Taps

Sliced = TypeVar("Sliced", bound=SlicedNetwork)


def working(path: Path, task: VolumeTask, cell: Counts, share: Counts) -> Working:
    """The crop of a file as the network sees it."""
    volume = read_volume(path)
    return Working.of(volume.array, volume.spacing, task.how, cell, share)


def with_imagenet(network: Sliced, task: VolumeTask) -> Sliced:
    """The network in evaluation mode with the published weights of its encoder, rounded as they are stored."""
    network.eval()
    network.backbone.load_imagenet(task.weights)
    halved(network.backbone)
    return network


def extract(network: SlicedNetwork, task: VolumeTask) -> Arrays:
    """The taps of all volumes; those that an earlier call wrote before it was killed are not computed again."""
    store, count = Arrays(task.store / "taps"), len(task.examples)
    network.to(task.device)
    for row, path in enumerate(task.examples.files):
        if not store.has(row):
            hu = working(path, task, encoding.cell(task.how), encoding.SHARE).hu
            with torch.inference_mode():
                taps = encoding.encoded(network, hu, task.how, task.network, task.device)
            store.write(row, tuple(tap.half().cpu().numpy() for tap in taps))
        task.advance("features", row + 1, count)
    network.to("cpu")
    return store


def covariance(store: Arrays, count: int, pool: int) -> NDArray[np.float64]:
    """Covariance (C, C) of the cells of each volume around its own mean; coarsened to the last tap's grid.

    Parameters
    ----------
    pool
        At most so many cells of a volume are looked at, evenly spread.
    """
    total: NDArray[np.float64] | None = None
    for row in range(count):
        cells = on_coarsest(store.tensors(row)).permute(1, 0, 2, 3).flatten(1).double().numpy()
        some = cells[:, :: max(1, cells.shape[1] // pool)]
        centred = some - some.mean(1, keepdims=True)
        product = centred @ centred.T / some.shape[1] / count
        total = product if total is None else total + product
    assert total is not None
    return total


def on_coarsest(taps: Taps) -> torch.Tensor:
    """All taps side by side on the grid of the last (d, channels of all taps, h, w)."""
    size = taps[-1].shape[-2], taps[-1].shape[-1]
    return torch.cat([torch.nn.functional.adaptive_avg_pool2d(tap, size) for tap in taps], 1)
