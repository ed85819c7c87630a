"""FedAvg: the mean of the sites' weights, each counted by its images. McMahan et al., AISTATS 2017."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from models.errors import RunError
from models.learning.federation.exchange import Contribution, State

FEWEST = 2  # sites


def averaged(start: State, contributions: Sequence[tuple[State, Contribution]]) -> State:
    """The weights that the next round begins with.

    Raises
    ------
    RunError
        There are fewer than two sites, or the weights of one are not those of the round, or no finite numbers.
    """
    if len(contributions) < FEWEST:
        raise RunError(f"{len(contributions)} of at least {FEWEST} sites have sent their weights: wait for the others.")
    for state, report in contributions:
        _check(start, state, report)
    total = sum(report.images for _, report in contributions)
    return {
        name: torch.stack([state[name].double() * (report.images / total) for state, report in contributions]).sum(0)
        for name in start
    }


def _check(start: State, state: State, report: Contribution) -> None:
    if report.images < 1:
        raise RunError(f"{report.site} says that it trained on {report.images} images: leave its file out.")
    if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in start.items()}:
        raise RunError(f"{report.site} sent weights of another network: it must train with the federation's plan.")
    if not all(bool(torch.isfinite(value).all()) for value in state.values()):
        raise RunError(f"{report.site} sent weights that are no numbers: it must train again, at a smaller rate.")
