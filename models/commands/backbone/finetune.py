"""The command `readfirst models finetune`."""

from __future__ import annotations

from models.commands.arguments import Data
from models.commands.backbone.learning import learning_command
from models.learning.options import FinetuneOptions

finetune = learning_command(
    "finetune",
    "Train a backbone with labels of whole images; `train --weights RUN/backbone.safetensors` uses it.",
    Data,
    FinetuneOptions,
    lambda best: f"mean AUC {best.score:.3f}",
)
