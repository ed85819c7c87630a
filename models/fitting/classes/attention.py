"""Gated attention over the slices of bags, fitted with the head; see `models.networks.modules.slice_bag`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.fitting.heads import Flags, Floats, Head
from models.metrics.bags import Bags
from models.networks.modules.slice_bag import SliceAttention

STEPS = 60
DECAY = 0.01  # on the squares of the attention's weights


class Attended(NamedTuple):
    """An attention in the coordinates of the features, and the head that was fitted with it."""

    attention: SliceAttention
    head: Head


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """How attention is fitted: by the cross-entropy of bags, and of slices, too, where `slices`; from a linear head."""

    penalty: float
    slices: bool
    seed: int


def plain(width: int, head: Head) -> Attended:
    """The mean of slices under a head."""
    return Attended(SliceAttention(width), head)


def fit(
    x: Floats, truth: Flags, bags: Bags, rows: NDArray[np.int64], whiten: Floats, start: Head, recipe: Recipe
) -> Attended:
    """Attention and head of some images (rows) by L-BFGS; a new attention is the mean, and the head is `start`."""
    torch.manual_seed(recipe.seed)
    slices = torch.from_numpy((x[rows] - start.centre) @ whiten).float()
    module, linear = SliceAttention(slices.shape[1]), nn.Linear(slices.shape[1], truth.shape[1])
    linear.weight.data = torch.from_numpy(np.linalg.solve(whiten, start.weight.T).T.copy()).float()
    linear.bias.data = torch.from_numpy(start.bias).float()
    nn.init.normal_(module.score.weight, std=1e-3)  # at 0 the gradient of what is before it is 0, too
    classes, weights = torch.from_numpy(truth[rows].argmax(1)), torch.from_numpy(bags.balanced[rows]).float()
    members = [torch.from_numpy(np.flatnonzero(bags.index[rows] == one)) for one in np.unique(bags.index[rows])]
    of_bags = torch.stack([classes[one[0]] for one in members])
    shares = torch.stack([weights[one].sum() for one in members])
    given = [*module.parameters(), *linear.parameters()]
    optimizer = torch.optim.LBFGS(given, max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = linear(slices)
        pooled = torch.stack([module(slices[one]) @ logits[one] for one in members])
        value = (shares * functional.cross_entropy(pooled, of_bags, reduction="none")).sum() / shares.sum()
        if recipe.slices:
            value = (
                value + (weights * functional.cross_entropy(logits, classes, reduction="none")).sum() / weights.sum()
            )
        decay = sum(((one**2).sum() for one in module.parameters()), torch.zeros(()))
        value = value + 0.5 * recipe.penalty * (linear.weight**2).sum() + 0.5 * DECAY * decay
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return _in_features(module, linear, whiten, start)


def _in_features(module: SliceAttention, linear: nn.Linear, whiten: Floats, start: Head) -> Attended:
    """The same functions of features less the centre."""
    back = torch.from_numpy(whiten).float()
    module.requires_grad_(requires_grad=False)
    for layer in (module.content, module.gate):
        layer.weight.data = layer.weight.data @ back.T
    weight = linear.weight.detach().double().numpy() @ whiten.T
    return Attended(module, Head(weight, linear.bias.detach().double().numpy(), start.centre))


def bag_logits(x: Floats, bags: Bags, bag: int, attended: Attended) -> Floats:
    """(L,) of a bag of features (N, C)."""
    rows = bags.rows(bag)
    with torch.no_grad():
        weights = attended.attention(torch.from_numpy(x[rows] - attended.head.centre).float()).double().numpy()
    logits: Floats = weights @ attended.head.logits(x[rows])
    return logits
