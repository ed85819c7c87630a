"""Images as the network takes them, batch after batch, in the order of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.card import Network
from models.data.images import read_image
from models.learning.augment import Augment
from models.learning.machine import Machine
from models.learning.sampling import Draw


class Views(Dataset[Tensor]):
    """So many changed views of each image, (views, rows, columns); asked by `Draw`."""

    def __init__(self, files: tuple[Path, ...], size: tuple[int, int], augment: Augment, views: int = 1) -> None:
        self.files, self.size, self.augment, self.views = files, size, augment, views

    def __getitem__(self, draw: Draw) -> Tensor:
        image = read_image(self.files[draw.row], self.size)
        return torch.stack([self.augment(image, (draw.seed + view) % 2**32) for view in range(self.views)])


def batches(
    views: Views, plan: list[list[Draw]], network: Network, machine: Machine
) -> Iterator[tuple[Tensor, Tensor]]:
    """For each batch of the plan the row numbers (N,) and the network's input (N, views, 3, rows, columns)."""
    loader = DataLoader(
        views,
        batch_sampler=plan,
        num_workers=machine.workers,
        generator=torch.Generator().manual_seed(0),  # else it draws from the generator of everybody
    )
    for draws, images in zip(plan, loader, strict=True):
        x = (images.to(machine.device) - network.mean) / network.std
        yield torch.tensor([draw.row for draw in draws]), x[:, :, None].expand(-1, -1, 3, -1, -1)
