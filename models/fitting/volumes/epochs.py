"""Heads and networks of volumes that no convex solver fits: Adam over a few epochs, whose number folds choose."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.fitting.heads import Floats, Head
from models.fitting.rows import everything, parts
from models.fitting.volumes.linear import mean_auc
from models.fitting.volumes.task import VolumeTask


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """What is trained and how.

    Attributes
    ----------
    inputs
        Of a row number: what the module sees of the volume, (1, …).
    start
        The module at its first weights, of a linear head or of none.
    epochs
        Numbers of epochs that are tried, ascending.
    rate, batch, decay
        Peak learning rate of Adam, volumes a step, L2 penalty on all weights.
    changed
        Changes an input by chance in training; None: nothing is changed.
    """

    inputs: Callable[[int], Tensor]
    start: Callable[[Head], nn.Module]
    epochs: tuple[int, ...]
    rate: float
    batch: int
    decay: float
    changed: Callable[[Tensor, torch.Generator], Tensor] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Out-of-fold logits (N, L) after the number of epochs that was best, with the bias of the module of all."""

    logits: Floats
    epochs: int
    scores: dict[str, float]


def fit(task: VolumeTask, recipe: Recipe, starts: Sequence[Head]) -> tuple[list[nn.Module], nn.Module, Fitted]:
    """The modules of the folds, that of all volumes, and out-of-fold logits.

    `starts` are what `Recipe.start` takes for each fold and at last for all volumes.
    """
    truth, every = task.examples.truth, everything(len(task.examples))
    count = recipe.epochs[-1] * (len(task.held_out) + 1)
    crossed, done = [], 0
    for held, head in zip(task.held_out, starts, strict=False):
        steps = _trained(task, recipe, head, np.setdiff1d(every, held), done, count)
        crossed.append(list(steps))
        done += recipe.epochs[-1]
    logits = [_out_of_fold(task, recipe, [steps[index] for steps in crossed]) for index in range(len(recipe.epochs))]
    scores = [mean_auc(one, truth) for one in logits]
    best = int(np.argmax(scores))
    chosen = Recipe(recipe.inputs, recipe.start, recipe.epochs[: best + 1], recipe.rate, recipe.batch, recipe.decay,
                    recipe.changed)  # fmt: skip
    *_, last = _trained(task, chosen, starts[-1], every, done, count)
    named = {f"{number} epochs": score for number, score in zip(recipe.epochs, scores, strict=True)}
    fitted = Fitted(logits[best] + bias(last), recipe.epochs[best], named)
    return [steps[best] for steps in crossed], last, fitted


def _trained(
    task: VolumeTask, recipe: Recipe, head: Head, rows: NDArray[np.int64], done: int, count: int
) -> Iterator[nn.Module]:
    """The module after each number of epochs that is tried."""
    torch.manual_seed(task.seed)
    generator = torch.Generator().manual_seed(task.seed)
    module, truth = recipe.start(head).train(), torch.from_numpy(task.examples.truth).float()
    optimizer = torch.optim.AdamW(module.parameters(), lr=recipe.rate, weight_decay=0.0)
    for epoch in range(1, recipe.epochs[-1] + 1):
        order = rows[torch.randperm(len(rows), generator=generator).numpy()]
        for some in parts(order, recipe.batch):
            _step(module, optimizer, recipe, some, truth, generator)
        task.advance("epochs", done + epoch, count)
        if epoch in recipe.epochs:
            yield copy.deepcopy(module).eval()


def _step(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    rows: NDArray[np.int64],
    truth: Tensor,
    generator: torch.Generator,
) -> None:
    optimizer.zero_grad()
    weights = [value for name, value in module.named_parameters() if name.endswith("weight")]
    penalty = 0.5 * recipe.decay * torch.stack([weight.square().sum() for weight in weights]).sum()
    penalty.backward()  # type: ignore[no-untyped-call]
    for row in rows:
        x = recipe.inputs(int(row))
        x = x if recipe.changed is None else recipe.changed(x, generator)
        loss = functional.binary_cross_entropy_with_logits(module(x)[0], truth[row], reduction="sum") / len(rows)
        loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(module.parameters(), 5.0)
    optimizer.step()


def _out_of_fold(task: VolumeTask, recipe: Recipe, modules: Sequence[nn.Module]) -> Floats:
    """Logits (N, L) without a bias by modules that did not see the volume; see `heads.out_of_fold`."""
    logits = np.zeros(task.examples.truth.shape)
    for rows, module in zip(task.held_out, modules, strict=True):
        with torch.inference_mode():
            found = torch.cat([module(recipe.inputs(int(row))) for row in rows]).double().numpy()
        logits[rows] = found - bias(module)
    return logits


def bias(module: nn.Module) -> Floats:
    """The module's last bias (L,)."""
    names = dict(module.named_parameters())
    found: Floats = names["head.bias" if "head.bias" in names else "bias"].detach().double().numpy()
    return found
