"""Heads that no closed form or convex solver fits: L-BFGS from the linear head's optimum, stopped early.

The objective is that of the linear head: the mean over images of the labels' summed cross-entropies, and the penalty
on the squares of all weights. How many iterations are run is chosen by out-of-fold AUC.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.evaluation.discrimination import FEWEST_POSITIVES
from models.fitting import heads
from models.fitting.frozen import Explain, Features, out_of_fold_maps
from models.fitting.heads import Flags, Floats, Head
from models.fitting.linear import Chosen
from models.fitting.rows import everything, parts
from models.fitting.task import Fit, Task
from models.networks.protocols import MappedNetwork

ITERATIONS = (2, 5)  # what is tried
CHUNK = 64

Inputs = Callable[[NDArray[np.int64]], Tensor]
"""Of row numbers (n,): what a head sees of them, (n, …)."""


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """A head to be trained.

    Attributes
    ----------
    network
        What is stored in the end.
    inputs
        Of row numbers: what the head sees of these images, (n, …).
    start
        The head at the optimum of a linear head, its first outputs those of that head; its last layer is `head`.
    install
        Puts a trained head into the network.
    """

    network: nn.Module
    inputs: Inputs
    start: Callable[[Head], nn.Module]
    install: Callable[[nn.Module], None]


def fit(task: Task, features: Features, chosen: Chosen, recipe: Recipe) -> tuple[Fit, int]:
    """Fit by folds and on all; also the number of iterations that was chosen."""
    truth, count = task.examples.truth, len(task.held_out) + 1
    crossed = []
    for fold, (rows, head) in enumerate(zip(task.held_out, chosen.crossed, strict=True), start=1):
        kept = np.setdiff1d(np.arange(len(truth)), rows)
        torch.manual_seed(task.seed)
        crossed.append(list(minimize(recipe.start(head), recipe.inputs, truth, chosen.penalty, rows=kept)))
        task.advance("head", fold, count)
    scores, index = _best(task, recipe, crossed)
    torch.manual_seed(task.seed)
    *_, last = minimize(recipe.start(chosen.head), recipe.inputs, truth, chosen.penalty, ITERATIONS[: index + 1])
    task.advance("head", count, count)
    logits = _out_of_fold(task, recipe, [steps[index] for steps in crossed], _bias(last))

    def explain(fold: int) -> Explain:
        recipe.install(crossed[fold][index])
        network: MappedNetwork = recipe.network  # type: ignore[assignment]
        return network.maps

    maps = out_of_fold_maps(features, task.held_out, explain, task.store)
    recipe.install(last)
    tried = {f"{n} iterations": score for n, score in zip(ITERATIONS, scores, strict=True)}
    refit = heads.refitted(features.pooled, task.examples.truth, chosen.whiten)
    found = Fit(recipe.network, task.network, logits, maps, chosen.penalty, tried, refit)
    return found, ITERATIONS[index]


def minimize(
    module: nn.Module,
    inputs: Inputs,
    truth: Flags,
    penalty: float,
    iterations: tuple[int, ...] = ITERATIONS,
    rows: NDArray[np.int64] | None = None,
) -> Iterator[nn.Module]:
    """The module after each of these numbers of L-BFGS iterations, on some rows or on all."""
    target = torch.from_numpy(truth).float()
    rows = everything(len(target)) if rows is None else rows
    done = 0
    optimizer = torch.optim.LBFGS(module.parameters(), max_iter=1, line_search_fn="strong_wolfe")

    def objective() -> float:
        optimizer.zero_grad()
        weights = [value for name, value in module.named_parameters() if name.endswith("weight")]
        whole = 0.5 * penalty * torch.stack([weight.square().sum() for weight in weights]).sum()
        whole.backward()  # type: ignore[no-untyped-call]
        total = float(whole.detach())
        for some in parts(rows, CHUNK):
            logits, wanted = module(inputs(some)), target[torch.from_numpy(some)]
            part = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="sum") / len(rows)
            part.backward()  # type: ignore[no-untyped-call]
            total += float(part.detach())
        return total

    for stop in iterations:
        optimizer.param_groups[0].update(max_iter=stop - done, max_eval=2 * (stop - done))
        optimizer.step(objective)  # type: ignore[no-untyped-call]
        done = stop
        yield copy.deepcopy(module).eval()


def _best(task: Task, recipe: Recipe, crossed: list[list[nn.Module]]) -> tuple[list[float], int]:
    """Mean out-of-fold AUC after each number of iterations, and where it is best."""
    examples = task.examples
    zero = np.zeros(len(examples.labels))
    scores = [
        heads.mean_auc(_out_of_fold(task, recipe, list(step), zero), examples.truth, examples.sources, FEWEST_POSITIVES)
        for step in zip(*crossed, strict=True)
    ]
    return scores, int(np.argmax(scores))


def _out_of_fold(task: Task, recipe: Recipe, modules: list[nn.Module], bias: Floats) -> Floats:
    """Logits (N, L) by modules that did not see the image, all with one bias; see `heads.out_of_fold`."""
    logits = np.zeros(task.examples.truth.shape)
    for rows, module in zip(task.held_out, modules, strict=True):
        logits[rows] = _logits(module, recipe.inputs, rows) - _bias(module) + bias
    return logits


def _logits(module: nn.Module, inputs: Inputs, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    with torch.inference_mode():
        logits: NDArray[np.float64] = torch.cat([module(inputs(some)) for some in parts(rows, CHUNK)]).double().numpy()
    return logits


def _bias(module: nn.Module) -> Floats:
    bias: Floats = module.get_parameter("head.bias").detach().double().numpy()
    return bias


def whitened_start(head: Head, centre: Floats, whiten: Floats) -> tuple[Tensor, Tensor]:
    """Weight (L, C) and bias (L,) that do on (features - centre) @ whiten what the head does on features."""
    weight = np.linalg.solve(whiten, head.weight.T).T
    bias = head.bias + (centre - head.centre) @ head.weight.T
    return torch.from_numpy(weight).float().contiguous(), torch.from_numpy(bias).float()
