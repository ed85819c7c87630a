"""Small runs on phantoms, and what they leave."""

from __future__ import annotations

from pathlib import Path

import torch

from models.learning.checkpoints import Epoch
from models.learning.machine import Machine
from models.learning.options import FinetuneOptions, PretrainOptions
from models.learning.runs import finetune, pretrain
from models.networks.modules.backbone_file import imagenet_weights
from tests.models import phantoms

CPU = Machine(torch.device("cpu"))
SIZE = (96, 96)
TUNE = FinetuneOptions(size=SIZE, epochs=3, batch=8, rate=1e-3, head_rate=1e-2, freeze=14, patience=3)
CONTRAST = PretrainOptions(size=SIZE, epochs=2, batch=4, freeze=14)


class Killed(Exception):
    """Stands for a kill."""


def tuned(data: Path, run: Path, options: FinetuneOptions = TUNE, *, resume: bool = False, die: str = "") -> Epoch:
    """Fine-tune; dies in the third step of the stage `die`."""
    like = phantoms.card()
    return finetune(
        data, like, imagenet_weights(), run, options, machine=CPU, resume=resume, advance=lambda *step: _kill(step, die)
    )


def contrasted(
    data: Path, run: Path, options: PretrainOptions = CONTRAST, *, resume: bool = False, die: str = ""
) -> Epoch:
    """Pretrain; dies as `tuned` does."""
    like = phantoms.card()
    return pretrain(
        data, like, imagenet_weights(), run, options, machine=CPU, resume=resume, advance=lambda *step: _kill(step, die)
    )


def _kill(step: tuple[str, int, int], die: str) -> None:
    if step[:2] == (die, 3):
        raise Killed
