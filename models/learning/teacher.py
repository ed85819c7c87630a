"""Mean teacher: images without labels, which the network shall see as the running mean of itself does.

Tarvainen and Valpola, Mean teachers are better role models, NeurIPS 2017. What is judged and kept is the teacher.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from models.data.images import images_below
from models.errors import DataError, RunError

RAMP = 0.25  # part of the steps in which the weight of consistency grows
STEEP = 5.0  # exp(-STEEP (1 - t)^2), as in the paper

Module = TypeVar("Module", bound=nn.Module)


def unlabelled_images(folder: Path, batch: int) -> tuple[Path, ...]:
    """All images below the folder; RunError or DataError where they fill no batch."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} of images without labels.")
    files = images_below(folder)
    if len(files) < batch:
        raise RunError(f"{folder} has {len(files)} images: a mean teacher needs at least a batch of {batch}.")
    return files


def teacher_of(network: Module) -> Module:
    """A copy that is not trained."""
    return copy.deepcopy(network).requires_grad_(False).eval()


@torch.no_grad()
def follow(teacher: Iterable[Tensor], student: Iterable[Tensor], decay: float) -> None:
    """Move the teacher's weights the part 1 - `decay` of the way to the student's."""
    for mean, value in zip(teacher, student, strict=True):
        mean.lerp_(value, 1 - decay)


def ramp(step: int, steps: int) -> float:
    """Part of the weight of consistency in this step of all steps."""
    grown = min(1.0, step / max(1.0, RAMP * steps))
    return math.exp(-STEEP * (1 - grown) ** 2)


def consistency(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the probabilities of two logits (N, L)."""
    return (torch.sigmoid(student) - torch.sigmoid(teacher)).square().mean()
