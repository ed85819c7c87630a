"""What a run needs to continue: the networks, the optimizer and what was measured, after each epoch.

There is no state of a random generator in it: whatever is drawn is a function of (seed, epoch, image). Read with
`weights_only`: no code in the file is run.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from models.data.files import write_whole
from models.errors import RunError

FILE = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch gave.

    Attributes
    ----------
    number
        From 1.
    rate
        Of the backbone in the last step.
    loss, held_out_loss
        Mean over the epoch's steps as it went, and on the images that are held out, after it.
    score
        On those; the highest is the best.
    figures
        More of them, by name.
    """

    number: int
    rate: float
    loss: float
    held_out_loss: float
    score: float
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State dicts of all that is trained and of its optimizer, and all epochs so far."""

    network: dict[str, Any]
    optimizer: dict[str, Any]
    history: tuple[Epoch, ...]


def save(run: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint of a run folder at once."""
    stream = io.BytesIO()
    history = [asdict(epoch) for epoch in checkpoint.history]
    torch.save({"network": checkpoint.network, "optimizer": checkpoint.optimizer, "history": history}, stream)
    write_whole(run / FILE, stream.getvalue())


def restore(run: Path) -> Checkpoint | None:
    """The checkpoint of a run folder; None where no epoch was finished.

    Raises
    ------
    RunError
        The file is damaged.
    """
    path = run / FILE
    if not path.is_file():
        return None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        history = tuple(Epoch(**epoch) for epoch in found["history"])
        return Checkpoint(found["network"], found["optimizer"], history)
    except (OSError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path} cannot be read ({reason}); remove the run folder and start again.") from error


def best(history: tuple[Epoch, ...]) -> Epoch:
    """The epoch of the highest score; of several the one with the lowest loss on the held-out images."""
    return max(history, key=lambda epoch: (epoch.score, -epoch.held_out_loss))
