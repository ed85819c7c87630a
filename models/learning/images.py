"""Images as the network takes them, batch after batch, in the order of a plan."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.card import Network
from models.data.images import read_image
from models.errors import RunError
from models.learning.augment import Augment
from models.learning.sampling import Draw


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and how a run computes; another one gives the same result but for rounding."""

    device: torch.device
    workers: int = 0


def machine(device: str, workers: int) -> Machine:
    """The machine of a device's name, or of "auto"; RunError where there is none of that name."""
    name = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"The device {name!r} cannot be used ({reason}); give --device cpu.") from error
    return Machine(torch.device(name), workers)


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


def names_digest(files: tuple[Path, ...], folder: Path) -> str:
    """SHA-256 of the names in their order, relative to the folder, a line each."""
    lines = "".join(f"{file.relative_to(folder).as_posix()}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()
