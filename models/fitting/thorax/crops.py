"""One pass over the images of a task: their thoraxes as a network and as evidence see them, on disk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.anatomy.crop import Crop
from models.anatomy.evidence import Seen
from models.anatomy.residual import CELLS
from models.data.files import write_whole
from models.data.images import read_image
from models.fitting.rows import Rows, everything, parts
from models.fitting.task import Task
from models.networks.modules.thorax import ThoraxNetwork, pooled

BATCH = 8
SAVED_AFTER = 32  # batches: so many are computed again after a kill


@dataclass(frozen=True, slots=True, eq=False)
class Thoraxes:
    """Of N images, on disk.

    Attributes
    ----------
    pooled
        (N, channels of all taps x zones).
    taps
        Per tap (N, c, h, w) in float16.
    brightness, lungs
        (N, CELLS, CELLS).
    territories
        (N, names, CELLS, CELLS), of the `names` in their order.
    """

    pooled: Rows
    taps: tuple[Rows, ...]
    brightness: Rows
    lungs: Rows
    territories: Rows
    names: tuple[str, ...]

    def seen(self, row: int) -> Seen:
        """What evidence needs of one image."""
        territories = dict(zip(self.names, self.territories[slice(row, row + 1)][0], strict=True))
        brightness, lungs = (rows[slice(row, row + 1)][0] for rows in (self.brightness, self.lungs))
        return Seen(brightness, lungs, territories)

    def features(self, rows: NDArray[np.int64]) -> tuple[torch.Tensor, ...]:
        """Taps (n, c, h, w) of some images."""
        return tuple(torch.from_numpy(tap[rows]).float() for tap in self.taps)


def thoraxes(task: Task, network: ThoraxNetwork) -> Thoraxes:
    """Of all images of the task; what an earlier call wrote before it was killed is not computed again."""
    anatomy = task.like.anatomy
    assert anatomy is not None
    found = _tables(task, network, anatomy.crop)
    progress = task.store / "done"
    done = int(progress.read_text()) if progress.is_file() else 0
    network.to(task.device)
    for number, rows in enumerate(parts(everything(len(task.examples))[done:], BATCH), start=1):
        _fill(found, rows, task, network, anatomy.crop)
        done += len(rows)
        if done == len(task.examples) or number % SAVED_AFTER == 0:
            for table in (found.pooled, *found.taps, found.brightness, found.lungs, found.territories):
                table.sync()
            write_whole(progress, str(done).encode())
        task.advance("features", done, len(task.examples))
    network.to("cpu")
    return found


def _tables(task: Task, network: ThoraxNetwork, size: int) -> Thoraxes:
    count, store = len(task.examples), task.store
    names = tuple(sorted({label.territory for label in task.like.labels}))
    with torch.inference_mode():
        shapes = [tap.shape[1:] for tap in network.features(torch.zeros(1, 3, size, size))]
    cells = (CELLS, CELLS)
    return Thoraxes(
        Rows(store / "pooled.npy", (count, network.centre.numel()), np.float32),
        tuple(Rows(store / f"tap{n}.npy", (count, *shape), np.float16) for n, shape in enumerate(shapes)),
        Rows(store / "brightness.npy", (count, *cells), np.float32),
        Rows(store / "lungs.npy", (count, *cells), np.float32),
        Rows(store / "territories.npy", (count, len(names), *cells), np.float32),
        names,
    )


def _fill(found: Thoraxes, rows: NDArray[np.int64], task: Task, network: ThoraxNetwork, size: int) -> None:
    assert task.segment is not None
    taken = np.empty((len(rows), size, size), np.float32)
    for index, row in enumerate(rows):
        image = read_image(task.examples.files[row], task.size)
        lungs = task.segment(image)
        crop = Crop.of(lungs)
        taken[index] = crop.take(image, size)
        seen = Seen.of(crop, taken[index], lungs, set(found.names))
        found.brightness[slice(row, row + 1)] = seen.brightness
        found.lungs[slice(row, row + 1)] = seen.lungs
        found.territories[slice(row, row + 1)] = np.stack([seen.territories[name] for name in found.names])
    with torch.inference_mode():
        x = (torch.from_numpy(taken)[:, None].to(task.device) - task.network.mean) / task.network.std
        taps = network.features(x.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last))
        found.pooled[rows] = pooled(taps).flatten(1).cpu().numpy()
    for table, tap in zip(found.taps, taps, strict=True):
        table[rows] = tap.half().cpu().numpy()
