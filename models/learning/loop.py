"""The loop over epochs that both trainings share: steps, the held-out images, the best backbone, a stop."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from models.data.files import write_whole
from models.errors import RunError
from models.learning.checkpoints import Checkpoint, Epoch, best, restore, save
from models.learning.options import Options
from models.learning.schedule import factor, plateau_factor
from models.networks.modules.backbone_file import save_backbone
from models.networks.modules.tapped import TappedNetwork

BACKBONE = "backbone.safetensors"
MOMENTUM = 0.9  # of SGD
Advance = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class HeldOutFigures:
    """Figures of the held-out images: loss, score (the highest is the best), and more by name."""

    loss: float
    score: float
    figures: dict[str, float]


class Learner(Protocol):
    """What is trained, on what, and how it is judged."""

    @property
    def network(self) -> TappedNetwork:
        """All that is trained; what is not `backbone` is its head."""
        ...

    @property
    def kept(self) -> TappedNetwork:
        """Whose backbone is kept: `network`, or a mean of it."""
        ...

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        ...

    def losses(self, epoch: int) -> Iterator[Tensor]:
        """The loss of each batch of an epoch, 0 the first, ready for backward."""
        ...

    def evaluate(self) -> HeldOutFigures:
        """Judge the network, which is in evaluation mode, on the images that are held out."""
        ...

    def save_best(self, run: Path) -> None:
        """Write the results of the last `evaluate`, which were the best so far."""
        ...


def learn(learner: Learner, options: Options, run: Path, note: str, advance: Advance) -> tuple[Epoch, ...]:
    """Train until the last epoch or until patience ends, from the run folder's checkpoint where there is one.

    After each epoch the run folder holds the best backbone so far, history.csv and the checkpoint, in this order: a
    kill in between repeats the epoch to the same end.

    Parameters
    ----------
    note
        See `models.networks.modules.backbone_file.save_backbone`.
    """
    network = learner.network.eval()  # batch normalisation keeps the statistics of its start: what is used is trained
    freeze(network, options.freeze)
    optimizer = _optimizer(network, options)
    history: tuple[Epoch, ...] = ()
    found = restore(run)
    if found:
        network.load_state_dict(found.network)
        optimizer.load_state_dict(found.optimizer)
        history = found.history
    while not finished(history, options):
        history = (*history, _epoch(learner, optimizer, options, history, advance))
        if best(history) is history[-1]:
            save_backbone(learner.kept.backbone, run / BACKBONE, note)
            learner.save_best(run)
        write_history(run, history)
        save(run, Checkpoint(network.state_dict(), optimizer.state_dict(), history))
    return history


def finished(history: tuple[Epoch, ...], options: Options) -> bool:
    """Whether all epochs were run, or `patience` of them since the best."""
    if len(history) >= options.epochs:
        return True
    return bool(history) and history[-1].number - best(history).number >= options.patience


def freeze(network: TappedNetwork, count: int) -> None:
    """Leave the stem and so many blocks as they are; 0 leaves nothing."""
    backbone = network.backbone
    parts = [backbone.conv_stem, backbone.bn0, *backbone.blocks[:count]] if count else []
    for part in parts:
        part.requires_grad_(False)


def write_history(run: Path, history: tuple[Epoch, ...]) -> None:
    """history.csv: one line an epoch."""
    stream = io.StringIO()
    names = ("epoch", "rate", "loss", "held_out_loss", "score", *history[0].figures)
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    for one in history:
        values = (one.rate, one.loss, one.held_out_loss, one.score, *one.figures.values())
        writer.writerow([one.number, *(f"{value:.6g}" for value in values)])
    write_whole(run / "history.csv", stream.getvalue().encode())


def _optimizer(network: TappedNetwork, options: Options) -> torch.optim.Optimizer:
    """Weights of layers decay; biases and normalisation do not. The head has its own rate."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            peak = options.rate if name.startswith("backbone.") else options.head_rate
            decay = options.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((peak, decay), []).append(parameter)
    given = [
        {"params": params, "lr": peak, "peak": peak, "weight_decay": decay} for (peak, decay), params in groups.items()
    ]
    if options.optimizer == "sgd":
        return torch.optim.SGD(given, lr=options.rate, momentum=MOMENTUM, nesterov=True)
    return torch.optim.AdamW(given)


def _part(step: int, steps: int, options: Options, history: tuple[Epoch, ...]) -> float:
    """Part of the peak rate in this step of all steps."""
    if options.schedule == "plateau":
        scores = [one.score for one in history]
        return plateau_factor(step, steps, options.warmup, scores, options.plateau)
    return factor(step, steps, options.warmup)


def _epoch(
    learner: Learner, optimizer: torch.optim.Optimizer, options: Options, history: tuple[Epoch, ...], advance: Advance
) -> Epoch:
    index, steps, total, part = len(history), learner.steps, 0.0, 0.0
    for step, loss in enumerate(learner.losses(index)):
        part = _part(index * steps + step, options.epochs * steps, options, history)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * part
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += float(loss.detach())
        advance(f"epoch {index + 1} of {options.epochs}", step + 1, steps)
    mean = total / steps
    if not torch.isfinite(torch.tensor(mean)):
        raise RunError(f"The loss of epoch {index + 1} is {mean}: give a smaller --rate.")
    with torch.no_grad():
        figures = learner.evaluate()
    return Epoch(index + 1, part * options.rate, mean, figures.loss, figures.score, figures.figures)
