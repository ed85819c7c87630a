"""A small 3D CNN on volumes from random weights; see `models.networks.modules.volumes.cnn3d`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from models.fitting.heads import Head
from models.fitting.volumes import epochs, frozen
from models.fitting.volumes.epochs import Recipe
from models.fitting.volumes.store import Arrays, Maps
from models.fitting.volumes.task import VolumeFit, VolumeTask
from models.networks.modules.volumes import scoring
from models.networks.modules.volumes.cnn3d import Cnn3d

EPOCHS = (3, 6)  # what is tried
RATE, BATCH, DECAY = 3e-3, 8, 1e-3
NOISE_HU, SHIFT_HU = 15.0, 20.0

METHOD = (
    "A small 3D CNN from random weights on the crop at {spacing} mm; mirrored left to right, shifted and noisy in HU by"
    " chance; Adam, {epochs} epochs, chosen by cross-validation by anatomy; Platt calibration, operating points and"
    " saliency thresholds on out-of-fold values, without any mask."
)
REGIONS = "Regions are where the scores of the 3D CNN are high; they outline nothing."


def fit(task: VolumeTask) -> VolumeFit:
    """Fit the whole network."""
    store, labels = _crops(task), len(task.like.labels)

    def inputs(row: int) -> Tensor:
        return store.tensors(row)[0]

    def start(head: Head) -> nn.Module:
        module = Cnn3d(labels, task.network.channels)
        module.bias.data = torch.from_numpy(head.bias).float()
        return module

    recipe = Recipe(inputs, start, EPOCHS, RATE, BATCH, DECAY, _Changed(task))
    truth = task.examples.truth
    odds = np.log((truth.sum(0) + 0.5) / ((~truth).sum(0) + 0.5))
    head = Head(np.zeros((labels, 1)), odds, np.zeros(1))
    crossed, last, fitted = epochs.fit(task, recipe, [head] * (len(task.held_out) + 1))
    maps = Maps(task.store / "maps")
    for rows, module in zip(task.held_out, crossed, strict=True):
        assert isinstance(module, Cnn3d)
        for row in rows:
            with torch.inference_mode():
                maps.write(int(row), module.scores(inputs(int(row)))[0])
    method = METHOD.format(spacing=f"{task.how.spacing_mm[0]:g}", epochs=fitted.epochs)
    return VolumeFit(last, fitted.logits, maps, DECAY, fitted.scores, method, REGIONS)


def _crops(task: VolumeTask) -> Arrays:
    """The inputs of all volumes in float16, on disk."""
    store, count = Arrays(task.store / "crops"), len(task.examples)
    for row, path in enumerate(task.examples.files):
        if not store.has(row):
            hu = frozen.working(path, task, scoring.CELLS, scoring.SHARE).hu
            store.write(row, (scoring.stacked(hu, task.how, task.network).half().numpy(),))
        task.advance("crops", row + 1, count)
    return store


class _Changed:
    """An input as another scanner or a mirror might have it; changes are the same in all channels."""

    def __init__(self, task: VolumeTask) -> None:
        widths = torch.tensor([window.width for window in task.how.windows])
        self.per_hu = (1 / (widths * task.network.std)).view(1, -1, 1, 1, 1)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """(1, channels, z, y, x) from the like."""
        if torch.rand((), generator=generator) < 0.5:
            x = x.flip(4)
        shift = SHIFT_HU * (2 * torch.rand((), generator=generator) - 1)
        noise = NOISE_HU * torch.randn(x[:, :1].shape, generator=generator)
        return x + self.per_hu * (shift + noise)
