"""The command `readfirst models pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from models.commands.backbone.learning import learning_command
from models.learning.options import PretrainOptions

Images = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Images below it; with a labels.csv the split train alone.")
]

pretrain = learning_command(
    "pretrain",
    "Train a backbone on images without labels (SimCLR or MoCo); `train --weights RUN/backbone.safetensors` uses it.",
    Images,
    PretrainOptions,
    lambda best: f"loss {best.held_out_loss:.3f}",
)
